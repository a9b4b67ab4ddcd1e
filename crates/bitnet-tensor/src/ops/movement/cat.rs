//! Tensors joined and taken apart.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, OperandTypes, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor};

/// Tensors one after the other along `axis`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cat {
    /// The axis, counted from the front.
    pub axis: usize,
}

impl Operation for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let types = inputs.iter().map(|input| input.dtype());
        let common = types.reduce(|a, b| match a.promote(b) {
            Some(dtype) => dtype,
            None => BitNetDType::Ternary,
        });
        match common {
            Some(dtype) if !dtype.is_packed() => Ok(Some(smallvec![dtype; inputs.len()])),
            _ => {
                bail!(DTypeMismatch, self.name(), inputs, "the operands have no common dense type")
            }
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let first = inputs[0];
        let mut total = 0usize;
        for input in inputs {
            let same = input.rank() == first.rank()
                && (0..first.rank())
                    .all(|axis| axis == self.axis || input.shape()[axis] == first.shape()[axis]);
            if !same {
                bail!(
                    ShapeMismatch,
                    self.name(),
                    inputs,
                    "sizes differ outside of axis {}",
                    self.axis
                );
            }
            match total.checked_add(input.shape()[self.axis]) {
                Some(sum) => total = sum,
                None => bail!(InvalidTensor, self.name(), inputs, "the result is too large"),
            }
        }
        Ok(smallvec![TensorSpec::new(first.shape().with_size(self.axis, total), first.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let mut start = 0;
        context
            .inputs
            .iter()
            .map(|input| {
                let length = input.shape()[self.axis];
                start += length;
                context.gradient.narrow(self.axis as isize, start - length, length).map(Some)
            })
            .collect()
    }
}

/// # Joining and taking apart
impl BitNetTensor {
    /// `tensors` one after the other along `axis`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1u32, 2], [1, 2])?;
    /// let b = BitNetTensor::from_vec(vec![3u32, 4], [1, 2])?;
    /// assert_eq!(BitNetTensor::cat(&[&a, &b], 1)?.to_vec::<u32>()?, [1, 2, 3, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` for none, `ShapeMismatch`, `DTypeMismatch`.
    pub fn cat(tensors: &[&Self], axis: isize) -> Result<Self> {
        let Some(first) = tensors.first() else {
            bail!(InvalidTensor, "cat", tensors, "there is nothing to join");
        };
        let Some(axis) = resolve_axis(axis, first.rank()) else {
            bail!(ShapeMismatch, "cat", tensors, "there is no axis {axis}");
        };
        apply_one(Cat { axis }, tensors)
    }

    /// `tensors` of one shape, one after the other along a new axis.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let (a, b) = (BitNetTensor::try_from(vec![1u32, 2])?, BitNetTensor::try_from(vec![3u32, 4])?);
    /// assert_eq!(BitNetTensor::stack(&[&a, &b], 1)?.to_vec::<u32>()?, [1, 3, 2, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`cat`](Self::cat), and `ShapeMismatch` when the shapes differ.
    pub fn stack(tensors: &[&Self], axis: isize) -> Result<Self> {
        composed("stack", tensors, || {
            if tensors.windows(2).any(|pair| pair[0].shape() != pair[1].shape()) {
                bail!(ShapeMismatch, "stack", tensors, "the shapes differ");
            }
            let wide: Vec<Self> =
                tensors.iter().map(|tensor| tensor.unsqueeze(axis)).collect::<Result<_>>()?;
            Self::cat(&wide.iter().collect::<Vec<_>>(), axis)
        })
    }

    /// Views of `sizes` elements of `axis` each, one after the other; together all of the axis.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let parts = BitNetTensor::try_from(vec![1u32, 2, 3])?.split(&[1, 2], 0)?;
    /// assert_eq!(parts[1].to_vec::<u32>()?, [2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when the sizes do not add up to that of the axis.
    pub fn split(&self, sizes: &[usize], axis: isize) -> Result<Vec<Self>> {
        let Some(at) = resolve_axis(axis, self.rank()) else {
            bail!(ShapeMismatch, "split", &[self], "there is no axis {axis}");
        };
        let total = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        if total != Some(self.shape()[at]) {
            bail!(
                ShapeMismatch,
                "split",
                &[self],
                "{sizes:?} do not add up to the {} of axis {axis}",
                self.shape()[at]
            );
        }
        let mut start = 0;
        let mut part = |&size: &usize| {
            start += size;
            self.narrow(axis, start - size, size)
        };
        sizes.iter().map(&mut part).collect()
    }

    /// `count` views of equal size along `axis`, the last perhaps smaller, as PyTorch's `chunk`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let parts = BitNetTensor::try_from(vec![1u32, 2, 3])?.chunk(2, 0)?;
    /// assert_eq!((parts.len(), parts[1].to_vec::<u32>()?), (2, vec![3]));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or no parts.
    pub fn chunk(&self, count: usize, axis: isize) -> Result<Vec<Self>> {
        let Some(at) = resolve_axis(axis, self.rank()).filter(|_| count > 0) else {
            bail!(ShapeMismatch, "chunk", &[self], "no {count} parts of axis {axis}");
        };
        let size = self.shape()[at];
        let each = size.div_ceil(count).max(1);
        let mut sizes = vec![each; size / each];
        if !size.is_multiple_of(each) || size == 0 {
            sizes.push(size % each);
        }
        self.split(&sizes, axis)
    }
}
