//! Linear quantization, and products of quantized numbers.

use bitnet_tensor::BitNetDType::F32;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::from_front;
use crate::{Adapters, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("DequantizeLinear", |n| one(dequantize_linear(n))),
    ("DynamicQuantizeLinear", dynamic_quantize),
    ("QuantizeLinear", |n| one(quantize_linear(n))),
];

/// A scale or zero point beside `x`: one number, one per index of an axis, or one per block of it.
fn beside(parameter: &BitNetTensor, x: &BitNetTensor, case: &Case) -> Result<BitNetTensor> {
    let axis = from_front(case.integer("axis", 1), x.rank().max(1));
    let block = case.integer("block_size", 0) as usize;
    if block > 0 {
        let repeated = parameter.repeat_interleave(block, axis as isize)?;
        return repeated.narrow(axis as isize, 0, x.shape()[axis]);
    }
    if parameter.element_count() == 1 {
        return parameter.reshape([]);
    }
    let mut shape = vec![1; x.rank()];
    shape[axis] = parameter.element_count();
    parameter.reshape(shape)
}

/// Rounded half to even and kept within the integer type.
fn saturated(x: &BitNetTensor, dtype: BitNetDType) -> Result<BitNetTensor> {
    let (low, high) = match dtype {
        BitNetDType::U8 => (0.0, 255.0),
        BitNetDType::I8 => (-128.0, 127.0),
        BitNetDType::U16 => (0.0, 65_535.0),
        _ => (-32_768.0, 32_767.0),
    };
    x.clamp(low, high)?.to_dtype(dtype)
}

fn quantize_linear(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let codes = x.div(&beside(case.x(1), x, case)?)?.to_dtype(F32)?.round()?;
    let zero = case.given(2);
    let dtype = zero.map(BitNetTensor::dtype).or(case.dtype("output_dtype"));
    let codes = match zero {
        Some(zero) => codes.add(&beside(&zero.to_dtype(F32)?, x, case)?)?,
        None => codes,
    };
    saturated(&codes, dtype.unwrap_or(BitNetDType::U8))
}

fn dequantize_linear(case: &Case) -> Result<BitNetTensor> {
    let (x, scale) = (case.x(0), case.x(1));
    let codes = match case.given(2) {
        Some(zero) => x.to_dtype(F32)?.sub(&beside(&zero.to_dtype(F32)?, x, case)?)?,
        None => x.to_dtype(F32)?,
    };
    codes.mul(&beside(&scale.to_dtype(F32)?, x, case)?)?.to_dtype(scale.dtype())
}

/// Eight bits over the range of the numbers and zero.
fn dynamic_quantize(case: &Case) -> Outcome {
    let x = case.x(0);
    let (low, high) = (x.min(&[], false)?.minimum(0)?, x.max(&[], false)?.maximum(0)?);
    let scale = high.sub(&low)?.div(255)?;
    let zero = saturated(&low.neg()?.div(&scale)?.round()?, BitNetDType::U8)?;
    let codes = x.div(&scale)?.round()?.add(&zero.to_dtype(F32)?)?;
    Ok(vec![saturated(&codes, BitNetDType::U8)?, scale, zero])
}
