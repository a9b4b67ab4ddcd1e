//! Medians and other quantiles: elements of the order, or between two of them.

use super::axes::{reduced_shape, resolve_axes};
use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// What a quantile that lies between two elements is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// On the line between them.
    #[default]
    Linear,
    /// The smaller one.
    Lower,
    /// The larger one.
    Higher,
    /// The nearer one; in the middle the one with the even place.
    Nearest,
    /// The middle of them.
    Midpoint,
}

/// # Quantiles
///
/// `axes` may be negative; an empty list means all of them. NaN among the elements makes the
/// result NaN.
impl BitNetTensor {
    /// The median over `axes`: the middle element, or the mean of the middle two, as in NumPy.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![3.0f32, 1.0, 2.0, 10.0], [4])?;
    /// assert_eq!(x.median(&[], false)?.item::<f32>()?, 2.5);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, `DTypeMismatch` unless
    /// the elements are floats, `ComputationError` of nothing.
    pub fn median(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.quantile_of("median", 0.5, axes, keepdims, Interpolation::Midpoint)
    }

    /// The `q`-quantile over `axes`, on the line between two elements where it lies between them:
    /// NumPy's default.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 10.0, 20.0], [3])?;
    /// assert_eq!(x.quantile(0.25, &[], false)?.item::<f32>()?, 5.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`median`](Self::median), and `ComputationError` for a `q` outside of 0 to 1.
    pub fn quantile(&self, q: f64, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.quantile_of("quantile", q, axes, keepdims, Interpolation::Linear)
    }

    /// [`quantile`](Self::quantile) with a choice of what lies between two elements.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Interpolation};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 10.0, 20.0], [3])?;
    /// let lower = x.quantile_with(0.9, &[], false, Interpolation::Lower)?;
    /// assert_eq!(lower.item::<f32>()?, 10.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`quantile`](Self::quantile).
    pub fn quantile_with(
        &self,
        q: f64,
        axes: &[isize],
        keepdims: bool,
        interpolation: Interpolation,
    ) -> Result<Self> {
        self.quantile_of("quantile", q, axes, keepdims, interpolation)
    }

    fn quantile_of(
        &self,
        name: &'static str,
        q: f64,
        axes: &[isize],
        keepdims: bool,
        interpolation: Interpolation,
    ) -> Result<Self> {
        let axes = resolve_axes(name, self, axes)?;
        if !self.dtype().is_float() {
            bail!(DTypeMismatch, name, &[self], "takes floats: cast with to_dtype first");
        }
        if !(0.0..=1.0).contains(&q) {
            bail!(ComputationError, name, &[self], "{q} is outside of 0 to 1");
        }
        let shape = reduced_shape(self.shape(), &axes, keepdims);
        if self.element_count() == 0 {
            if !shape.contains(&0) {
                bail!(ComputationError, name, &[self], "no elements: there is no {name}");
            }
            return Self::empty(shape, self.dtype(), self.device());
        }
        composed(name, &[self], || {
            // What is between two numbers of a half type is rounded once, at the end.
            let wide = match self.dtype() {
                BitNetDType::F16 | BitNetDType::BF16 => BitNetDType::F32,
                dtype => dtype,
            };
            // The axes as one line, at the end.
            let kept = (0..self.rank()).filter(|axis| !axes.contains(axis));
            let order: Vec<isize> = kept.chain(axes.iter().copied()).map(|a| a as isize).collect();
            let count: usize = axes.iter().map(|&axis| self.shape()[axis]).product();
            let mut lines = reduced_shape(self.shape(), &axes, false).to_vec();
            lines.push(count);
            let lines = self.to_dtype(wide)?.permute(&order)?.reshape(lines)?;
            let sorted = lines.sort(-1, false)?.0;
            let value = between(&sorted, q, count, interpolation)?;
            // NaN is sorted last; every other number becomes 0 here.
            let last = sorted.detach().narrow(-1, count - 1, 1)?;
            let nan = last.minimum(0)?.maximum(0)?;
            value.add(&nan)?.reshape(shape)?.to_dtype(self.dtype())
        })
    }
}

/// The `q`-quantile of sorted lines of `count` elements.
fn between(
    sorted: &BitNetTensor,
    q: f64,
    count: usize,
    interpolation: Interpolation,
) -> Result<BitNetTensor> {
    let place = (count - 1) as f64 * q;
    let at = |place: f64| sorted.narrow(-1, place as usize, 1);
    let (lower, higher, part) = (place.floor(), place.ceil(), place - place.floor());
    match interpolation {
        _ if part == 0.0 => at(lower),
        Interpolation::Lower => at(lower),
        Interpolation::Higher => at(higher),
        Interpolation::Nearest => at(place.round_ties_even()),
        // The sum of the two may not overflow.
        Interpolation::Midpoint => at(lower)?.mul(0.5)?.add(&at(higher)?.mul(0.5)?),
        // From the nearer end, so that it never passes the other.
        Interpolation::Linear => {
            let (low, high) = (at(lower)?, at(higher)?);
            let distance = high.sub(&low)?;
            if part < 0.5 {
                low.add(&distance.mul(part)?)
            } else {
                high.sub(&distance.mul(1.0 - part)?)
            }
        }
    }
}
