//! Products with weights `[out, in]`: dense, int8 and ternary.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_out};
use crate::error::{Result, bail};
use crate::ops::linalg::matmul::product_flops;
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// `x · wᵀ` for `x [.., in]` and weights `w [out, in]`: dense ones, computed in `f32`, or ones of a
/// block format, for which `x` becomes codes of 16 bits with a scale for each 32 features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear;

impl Operation for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (x, weight) = (inputs[0], inputs[1]);
        let weights = match x.dtype() {
            BitNetDType::F32 => &[BitNetDType::F32, BitNetDType::BF16, BitNetDType::F16][..],
            BitNetDType::F64 => &[BitNetDType::F64],
            _ => &[],
        };
        let is_block = matches!(weight.dtype(), BitNetDType::Block(_));
        let takes_block = is_block && x.dtype() == BitNetDType::F32;
        if !takes_block && !weights.contains(&weight.dtype()) {
            bail!(
                DTypeMismatch,
                self.name(),
                inputs,
                "takes f32 and weights of f32, f16, bf16, ternary or blocks, or two of f64"
            );
        }
        let (Some((&features, leading)), &[out, inner]) =
            (x.shape().split_last(), &**weight.shape())
        else {
            bail!(ShapeMismatch, self.name(), inputs, "takes [.., in] and weights [out, in]");
        };
        if features != inner {
            bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "{features} features meet weights for {inner}"
            );
        }
        let shape: TensorShape = leading.iter().copied().chain([out]).collect();
        Ok(smallvec![TensorSpec::new(shape, x.dtype())])
    }

    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        Some(product_flops(&outputs[0], inputs[1].shape()[1]))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, weight, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let dx = dy.matmul_rows(&weight.to_dtype(x.dtype())?)?;
        let (rows_x, rows_dy) = (x.as_rows()?, dy.as_rows()?);
        let dw = match weight.dtype().is_packed() {
            true => None, // codes do not move by small steps
            false => Some(rows_dy.transpose(0, 1)?.matmul(&rows_x)?.to_dtype(weight.dtype())?),
        };
        Ok(smallvec![Some(dx.reshape(x.shape())?), dw])
    }
}

/// `x · wᵀ` for a quantized activation and ternary or 6-bit weights `[out, in]`. Operands: codes
/// `I8 [.., padded]`, scales `F32 [..]`, sums `I32 [..]`, the weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackedLinear {
    /// The features of a row of codes; what follows is padding.
    pub features: usize,
}

impl Operation for PackedLinear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        Some(product_flops(&outputs[0], inputs[3].shape()[1]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let packed = [BitNetDType::Ternary, BitNetDType::Int6];
        infer_quantized(self.name(), self.features, inputs, &packed)
    }
}

/// `x · wᵀ` for a quantized activation and int8 weights. Operands: codes `I8 [.., padded]`, scales
/// `F32 [..]`, sums `I32 [..]`, weights `I8 [out, in]`, their scales `F32 [out]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearInt8 {
    /// The features of a row of codes; what follows is padding.
    pub features: usize,
}

impl Operation for LinearInt8 {
    fn name(&self) -> &'static str {
        "linear_int8"
    }

    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        Some(product_flops(&outputs[0], inputs[3].shape()[1]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let specs = infer_quantized(self.name(), self.features, inputs, &[BitNetDType::I8])?;
        let (weight, scales) = (inputs[3], inputs[4]);
        if scales.dtype() != BitNetDType::F32 || *scales.shape() != [weight.shape()[0]] {
            bail!(ShapeMismatch, self.name(), inputs, "weight scales are f32 [out]");
        }
        Ok(specs)
    }
}

fn infer_quantized(
    name: &'static str,
    features: usize,
    inputs: &[&BitNetTensor],
    weights: &[BitNetDType],
) -> Result<Specs> {
    let (codes, scales, sums, weight) = (inputs[0], inputs[1], inputs[2], inputs[3]);
    let types = [codes.dtype(), scales.dtype(), sums.dtype()];
    if types != [BitNetDType::I8, BitNetDType::F32, BitNetDType::I32]
        || !weights.contains(&weight.dtype())
    {
        let weights: Vec<_> = weights.iter().map(ToString::to_string).collect();
        bail!(
            DTypeMismatch,
            name,
            inputs,
            "takes i8 codes, f32 scales, i32 sums and {} weights",
            weights.join(" or ")
        );
    }
    let (Some((&padded, leading)), &[out, inner]) = (codes.shape().split_last(), &**weight.shape())
    else {
        bail!(ShapeMismatch, name, inputs, "takes codes [.., padded] and weights [out, in]");
    };
    if padded < features || *scales.shape() != *leading || *sums.shape() != *leading {
        bail!(ShapeMismatch, name, inputs, "codes, scales and sums do not fit");
    }
    if features != inner {
        bail!(ShapeMismatch, name, inputs, "{features} features meet weights for {inner}");
    }
    let shape: TensorShape = leading.iter().copied().chain([out]).collect();
    Ok(smallvec![TensorSpec::new(shape, BitNetDType::F32)])
}

/// # Products with weights
impl BitNetTensor {
    /// `self · weightᵀ` for `F32 [.., in]` and a weight `[out, in]`: dense (`F32`, `F16`, `BF16`;
    /// computed in `f32`), ternary or `Int6` (the activation is quantized to int8 first), or of a
    /// block format (the activation becomes codes of 16 bits with a scale for each 32 features). Ternary
    /// and block weights come from [`prepare_weight`](Self::prepare_weight).
    ///
    /// A row's result does not depend on the other rows.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0], [1, 2])?;
    /// let weight = BitNetTensor::from_vec(vec![1.0f32, 0.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.linear(&weight)?.to_vec::<f32>()?, [1.0, 11.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn linear(&self, weight: &Self) -> Result<Self> {
        if matches!(weight.dtype(), BitNetDType::Ternary | BitNetDType::Int6) {
            return self.quantize_activation()?.linear(weight);
        }
        apply_one(Linear, &[self, weight])
    }

    /// [`linear`](Self::linear) into `out`: into its storage where it fits, else
    /// it is replaced.
    ///
    /// # Errors
    /// As [`linear`](Self::linear).
    pub fn linear_out(&self, weight: &Self, out: &mut Self) -> Result<()> {
        if matches!(weight.dtype(), BitNetDType::Ternary | BitNetDType::Int6) {
            return self.quantize_activation()?.linear_out(weight, out);
        }
        apply_out(Linear, &[self, weight], std::slice::from_mut(out))
    }

    /// All axes but the last as one: `[rows, features]`.
    pub(crate) fn as_rows(&self) -> Result<Self> {
        let features = self.shape().last().copied().unwrap_or(1);
        let rows = count(&self.shape()[..self.rank().saturating_sub(1)]);
        self.reshape([rows, features])
    }

    /// `[.., in] · [in, out]` as one product of all rows.
    fn matmul_rows(&self, matrix: &Self) -> Result<Self> {
        self.as_rows()?.matmul(matrix)
    }
}
