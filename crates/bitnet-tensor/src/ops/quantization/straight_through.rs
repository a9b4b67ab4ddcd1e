//! Quantized numbers in the forward pass of training, and the derivative that is taken for
//! theirs: rounding has none, so the gradient passes straight through (Bengio et al. 2013,
//! "Estimating or Propagating Gradients Through Stochastic Neurons").

use smallvec::smallvec;

use super::scheme::{Granularity, QuantizationScheme};
use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor};

/// The second operand as the result; the gradient goes to the first as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StraightThrough;

impl Operation for StraightThrough {
    fn name(&self) -> &'static str {
        "straight_through"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (x, value) = (inputs[0], inputs[1]);
        if !x.dtype().is_float() || x.dtype() != value.dtype() {
            bail!(DTypeMismatch, self.name(), inputs, "takes two operands of one float type");
        }
        if x.shape() != value.shape() {
            bail!(ShapeMismatch, self.name(), inputs, "the shapes differ");
        }
        Ok(smallvec![TensorSpec::new(value.shape(), value.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        Ok(smallvec![Some(context.gradient.clone()), None])
    }
}

/// # Quantization in training
impl BitNetTensor {
    /// `value`, with the derivative of `self`: whatever was done to get from the one to the other
    /// counts as the identity.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.4f32, 1.6])?.with_grad();
    /// let y = x.straight_through(&x.detach().round()?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0]);
    /// let gradients = y.square()?.sum(&[], false)?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec::<f32>()?, [0.0, 4.0]); // 2y
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless both are of one float type, `ShapeMismatch`.
    pub fn straight_through(&self, value: &Self) -> Result<Self> {
        apply_one(StraightThrough, &[self, value])
    }

    /// [`quantize`](Self::quantize) and back, in the type of `self`; the gradient passes straight
    /// through. Of ternary weights: the forward pass of BitNet's quantization-aware training.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, TernaryScale};
    /// let w = BitNetTensor::try_from(vec![0.9f32, -0.1, 0.0, -1.0])?.with_grad();
    /// let scheme = QuantizationScheme::Ternary(TernaryScale::AbsMean);
    /// let y = w.fake_quantize(scheme, Granularity::Tensor)?; // mean |w| = 0.5
    /// assert_eq!(y.to_vec::<f32>()?, [0.5, 0.0, 0.0, -0.5]);
    /// let gradients = y.sum(&[], false)?.backward()?;
    /// assert_eq!(gradients.get(&w).unwrap().to_vec::<f32>()?, [1.0; 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`quantize`](Self::quantize).
    pub fn fake_quantize(
        &self,
        scheme: QuantizationScheme,
        granularity: Granularity,
    ) -> Result<Self> {
        const NAME: &str = "fake_quantize";
        let quantized = self.quantize_as(NAME, scheme, granularity)?;
        composed(NAME, &[self], || {
            self.straight_through(&quantized.dequantize()?.to_dtype(self.dtype())?)
        })
    }

    /// [`quantize_activation`](Self::quantize_activation) and back, in the type of `self`; the
    /// gradient passes straight through. Computed in `f32`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![127.0f32, 0.6, -3.2], [1, 3])?.with_grad();
    /// let y = x.fake_quantize_activation()?;
    /// assert_eq!(y.to_vec::<f32>()?, [127.0, 1.0, -3.0]);
    /// let gradients = y.sum(&[], false)?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec::<f32>()?, [1.0; 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless floats; `ShapeMismatch` as
    /// [`quantize_activation`](Self::quantize_activation).
    pub fn fake_quantize_activation(&self) -> Result<Self> {
        const NAME: &str = "fake_quantize_activation";
        if !self.dtype().is_float() {
            bail!(DTypeMismatch, NAME, &[self], "takes floats: cast with to_dtype first");
        }
        composed(NAME, &[self], || {
            let quantized = self.detach().to_dtype(BitNetDType::F32)?.quantize_activation()?;
            let codes = quantized.codes().narrow(-1, 0, quantized.features())?;
            let scales = quantized.scales().unsqueeze(-1)?;
            let value = codes.to_dtype(BitNetDType::F32)?.mul(&scales)?;
            self.straight_through(&value.to_dtype(self.dtype())?)
        })
    }

    /// `(clamp(round(x / scale) + zero, low, high) − zero) · scale`, with scales and zero points
    /// that are given: numbers (`[]`) for all, or a vector, one per place of `axis`. The gradient
    /// passes where nothing was clamped, and is zero elsewhere: PyTorch's
    /// `fake_quantize_per_tensor_affine` and `fake_quantize_per_channel_affine`. There is none with
    /// respect to the scales.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::try_from(vec![-0.3f32, 0.3, 9.0])?.with_grad();
    /// let (scale, zero) = (BitNetTensor::scalar(0.5f32)?, BitNetTensor::scalar(0i32)?);
    /// let y = x.fake_quantize_affine(&scale, &zero, 0, (-8, 7))?;
    /// assert_eq!(y.to_vec::<f32>()?, [-0.5, 0.5, 3.5]);
    /// let gradients = y.sum(&[], false)?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec::<f32>()?, [1.0, 1.0, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless `self` and the scales are of one float type and the zero points are
    /// integers, `ShapeMismatch` when they are not as many as the axis has places,
    /// `ComputationError` when `low` is greater than `high`.
    pub fn fake_quantize_affine(
        &self,
        scales: &Self,
        zero_points: &Self,
        axis: isize,
        (low, high): (i32, i32),
    ) -> Result<Self> {
        const NAME: &str = "fake_quantize_affine";
        let operands = &[self, scales, zero_points];
        let types_fit = self.dtype().is_float() && scales.dtype() == self.dtype();
        if !types_fit || !zero_points.dtype().is_integer() {
            let rule = "takes floats, scales of their type and zero points of integers";
            bail!(DTypeMismatch, NAME, operands, "{rule}");
        }
        if low > high {
            bail!(ComputationError, NAME, operands, "there is no code from {low} to {high}");
        }
        let mut beside = vec![1; self.rank()];
        if scales.rank() > 0 {
            let Some(axis) = resolve_axis(axis, self.rank()) else {
                bail!(ShapeMismatch, NAME, operands, "there is no axis {axis}");
            };
            beside[axis] = self.shape()[axis];
        }
        let count: usize = beside.iter().product();
        let vector = [count];
        let shape: &[usize] = if scales.rank() > 0 { &vector } else { &[] };
        if **scales.shape() != *shape || scales.shape() != zero_points.shape() {
            let rule = "scales and zero points are numbers, or one for each place of the axis";
            bail!(ShapeMismatch, NAME, operands, "{rule}");
        }
        composed(NAME, operands, || {
            let x = self.detach();
            let scales = scales.detach().reshape(beside.as_slice())?;
            let zeros = zero_points.to_dtype(self.dtype())?.reshape(beside.as_slice())?;
            let codes = x.div(&scales)?.round()?.add(&zeros)?;
            let kept = codes.ge(low)?.logical_and(&codes.le(high)?)?;
            let value = codes.clamp(low, high)?.sub(&zeros)?.mul(&scales)?;
            // The same number twice: only the first has a derivative.
            kept.where_(self, &x)?.straight_through(&value)
        })
    }
}
