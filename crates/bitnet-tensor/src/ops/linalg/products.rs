//! Products that are made of the matrix product and elementwise ones.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::shape::{count, resolve_axis};
use crate::{BitNetTensor, TensorShape};

/// The axes that [`BitNetTensor::tensordot`] sums over.
#[derive(Debug, Clone, Copy)]
pub enum ContractedAxes<'a> {
    /// The last so many of the first operand with the first so many of the second, in order.
    Count(usize),
    /// These of the first operand with these of the second, pair by pair.
    Pairs([&'a [isize]; 2]),
}

impl From<usize> for ContractedAxes<'_> {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl<'a> From<[&'a [isize]; 2]> for ContractedAxes<'a> {
    fn from(pairs: [&'a [isize]; 2]) -> Self {
        Self::Pairs(pairs)
    }
}

impl<'a, const N: usize> From<[&'a [isize; N]; 2]> for ContractedAxes<'a> {
    fn from(pairs: [&'a [isize; N]; 2]) -> Self {
        Self::Pairs(pairs.map(|axes| &axes[..]))
    }
}

/// # Matrix products
impl BitNetTensor {
    /// The product of vectors, `Σ aᵢ·bᵢ`, a scalar.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f32, 2.0], [2])?;
    /// assert_eq!(a.dot(&a)?.item::<f32>()?, 5.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless both are vectors of one length; `DTypeMismatch`.
    pub fn dot(&self, other: &Self) -> Result<Self> {
        if self.rank() != 1 || self.shape() != other.shape() {
            bail!(ShapeMismatch, "dot", &[self, other], "takes two vectors of one length");
        }
        composed("dot", &[self, other], || self.matmul(other))
    }

    /// `aᵢ·bⱼ` for all elements of both, `[a, b]`; operands of more axes are read as vectors.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1i32, 2], [2])?;
    /// assert_eq!(a.outer(&a)?.to_vec::<i32>()?, [1, 2, 2, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` without a common type.
    pub fn outer(&self, other: &Self) -> Result<Self> {
        composed("outer", &[self, other], || {
            self.reshape([self.element_count(), 1])?
                .mul(&other.reshape([1, other.element_count()])?)
        })
    }

    /// The sum of products over pairs of axes: `axes[0]` of this tensor with `axes[1]` of the other, or
    /// with a number `n` the last `n` of this tensor with the first `n` of the other. The axes that
    /// are left follow each other.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(a.tensordot(&a, [&[0, 1], &[0, 1]])?.item::<f32>()?, 30.0);
    /// assert_eq!(a.tensordot(&a, 1)?.to_vec::<f32>()?, a.matmul(&a)?.to_vec::<f32>()?);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for axes that do not exist, are named twice or differ in size; `DTypeMismatch`.
    pub fn tensordot<'a>(&self, other: &Self, axes: impl Into<ContractedAxes<'a>>) -> Result<Self> {
        let operands = [self, other];
        let (last, first): (Vec<isize>, Vec<isize>);
        let axes = match axes.into() {
            ContractedAxes::Pairs(axes) => axes,
            ContractedAxes::Count(count) => {
                if count > self.rank().min(other.rank()) {
                    bail!(
                        ShapeMismatch,
                        "tensordot",
                        &operands,
                        "there are no {count} axes in both"
                    );
                }
                last = (1..=count as isize).rev().map(|axis| -axis).collect();
                first = (0..count as isize).collect();
                [&last[..], &first[..]]
            }
        };
        if axes[0].len() != axes[1].len() {
            let (left, right) = (axes[0].len(), axes[1].len());
            bail!(ShapeMismatch, "tensordot", &operands, "{left} axes meet {right}");
        }
        let mut summed: [Vec<usize>; 2] = Default::default();
        for ((x, axes), summed) in operands.iter().zip(axes).zip(&mut summed) {
            for &axis in axes {
                match resolve_axis(axis, x.rank()) {
                    Some(axis) if !summed.contains(&axis) => summed.push(axis),
                    Some(_) => {
                        bail!(ShapeMismatch, "tensordot", &operands, "axis {axis} is named twice")
                    }
                    None => bail!(ShapeMismatch, "tensordot", &operands, "there is no axis {axis}"),
                }
            }
        }
        for (&a, &b) in summed[0].iter().zip(&summed[1]) {
            let (left, right) = (self.shape()[a], other.shape()[b]);
            if left != right {
                let reason = format!("axes {a} and {b} have sizes {left} and {right}");
                bail!(ShapeMismatch, "tensordot", &operands, "{reason}");
            }
        }
        composed("tensordot", &operands, || {
            let kept = |x: &Self, summed: &[usize]| -> Vec<usize> {
                (0..x.rank()).filter(|axis| !summed.contains(axis)).collect()
            };
            let (left, right) = (kept(self, &summed[0]), kept(other, &summed[1]));
            let sizes = |x: &Self, axes: &[usize]| -> TensorShape {
                axes.iter().map(|&axis| x.shape()[axis]).collect()
            };
            let ordered = |x: &Self, axes: &[&[usize]]| {
                let order: Vec<isize> = axes.concat().iter().map(|&axis| axis as isize).collect();
                x.permute(&order)
            };
            let (m, n) = (sizes(self, &left), sizes(other, &right));
            let k = count(&sizes(self, &summed[0]));
            let a = ordered(self, &[&left, &summed[0]])?.reshape([count(&m), k])?;
            let b = ordered(other, &[&summed[1], &right])?.reshape([k, count(&n)])?;
            a.matmul(&b)?.reshape(m.iter().chain(n.iter()).copied().collect::<TensorShape>())
        })
    }

    /// The Kronecker product: each element of this tensor times the whole other one. Missing leading
    /// axes have size 1.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1i32, 10], [2])?;
    /// let b = BitNetTensor::from_vec(vec![5i32, 6], [2])?;
    /// assert_eq!(a.kron(&b)?.to_vec::<i32>()?, [5, 6, 50, 60]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` without a common type.
    pub fn kron(&self, other: &Self) -> Result<Self> {
        composed("kron", &[self, other], || {
            let rank = self.rank().max(other.rank());
            let size = |x: &Self, axis: usize| {
                (axis + x.rank()).checked_sub(rank).map_or(1, |axis| x.shape()[axis])
            };
            // Axes alternate between the operands: broadcasting multiplies all with all.
            let left: TensorShape = (0..rank).flat_map(|axis| [size(self, axis), 1]).collect();
            let right: TensorShape = (0..rank).flat_map(|axis| [1, size(other, axis)]).collect();
            let both: TensorShape =
                (0..rank).map(|axis| size(self, axis).saturating_mul(size(other, axis))).collect();
            self.reshape(left)?.mul(&other.reshape(right)?)?.reshape(both)
        })
    }

    /// The cross product of vectors of 3 along `axis`; other axes broadcast.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 0.0, 0.0], [3])?;
    /// let y = BitNetTensor::from_vec(vec![0.0f32, 1.0, 0.0], [3])?;
    /// assert_eq!(x.cross(&y, -1)?.to_vec::<f32>()?, [0.0, 0.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless the axis has 3 elements in both; `BroadcastError`, `DTypeMismatch`.
    pub fn cross(&self, other: &Self, axis: isize) -> Result<Self> {
        for x in [self, other] {
            if resolve_axis(axis, x.rank()).is_none_or(|axis| x.shape()[axis] != 3) {
                bail!(ShapeMismatch, "cross", &[self, other], "axis {axis} has not 3 elements");
            }
        }
        composed("cross", &[self, other], || {
            let part = |x: &Self, n: usize| x.narrow(axis, n, 1);
            let minor = |i: usize, j: usize| {
                part(self, i)?.mul(&part(other, j)?)?.sub(&part(self, j)?.mul(&part(other, i)?)?)
            };
            Self::cat(&[&minor(1, 2)?, &minor(2, 0)?, &minor(0, 1)?], axis)
        })
    }

    /// The sum of the diagonal of the last two axes.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.trace()?.item::<f32>()?, 5.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for fewer than two axes, `DTypeMismatch`.
    pub fn trace(&self) -> Result<Self> {
        if self.rank() < 2 {
            bail!(ShapeMismatch, "trace", &[self], "takes matrices: two or more axes");
        }
        composed("trace", &[self], || self.diagonal(0, -2, -1)?.sum(&[-1], false))
    }
}
