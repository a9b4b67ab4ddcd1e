//! Linear quantization, and products of quantized numbers.

use bitnet_tensor::BitNetDType::{F32, F64, I32};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::convolution::convolve;
use crate::reader::Case;
use crate::shapes::from_front;
use crate::{Adapters, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("ConvInteger", |n| one(convolve_integers(n))),
    ("DequantizeLinear", |n| one(dequantize_linear(n))),
    ("DynamicQuantizeLinear", dynamic_quantize),
    ("MatMulInteger", |n| {
        one(integer_product(&centred(n.x(0), n.given(2))?, &centred(n.x(1), n.given(3))?))
    }),
    ("QLinearConv", |n| one(quantized_convolution(n))),
    ("QLinearMatMul", |n| one(quantized_product(n))),
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

/// `x − zero` as I32.
fn centred(x: &BitNetTensor, zero: Option<&BitNetTensor>) -> Result<BitNetTensor> {
    let wide = x.to_dtype(I32)?;
    match zero {
        Some(zero) => wide.sub(&zero.to_dtype(I32)?),
        None => Ok(wide),
    }
}

fn quantized_product(case: &Case) -> Result<BitNetTensor> {
    let (a, b) = (centred(case.x(0), Some(case.x(2)))?, centred(case.x(3), Some(case.x(5)))?);
    let product = integer_product(&a, &b)?.to_dtype(F32)?;
    let wide = |n: usize| case.x(n).to_dtype(F32);
    let scale = wide(1)?.mul(&wide(4)?)?.div(&wide(6)?)?;
    let zero = case.x(7);
    saturated(&product.mul(&scale)?.round()?.add(&zero.to_dtype(F32)?)?, zero.dtype())
}

/// Exact: sums of products of small integers.
fn integer_product(a: &BitNetTensor, b: &BitNetTensor) -> Result<BitNetTensor> {
    a.to_dtype(F64)?.matmul(&b.to_dtype(F64)?)?.to_dtype(I32)
}

/// The filters' parameters beside their filters.
fn per_filter(parameter: &BitNetTensor) -> Result<BitNetTensor> {
    match parameter.rank() {
        0 => Ok(parameter.clone()),
        _ => parameter.reshape([parameter.element_count(), 1, 1, 1]),
    }
}

/// Small integers: their products and sums are exact in F32.
fn convolve_integers(case: &Case) -> Result<BitNetTensor> {
    let x = centred(case.x(0), case.given(2))?;
    let zero = case.given(3).map(per_filter).transpose()?;
    let weight = centred(case.x(1), zero.as_ref())?;
    convolve(case, &x.to_dtype(F32)?, &weight.to_dtype(F32)?, None)?.to_dtype(I32)
}

fn quantized_convolution(case: &Case) -> Result<BitNetTensor> {
    let x = centred(case.x(0), Some(case.x(2)))?.to_dtype(F32)?;
    let weight = centred(case.x(3), Some(&per_filter(case.x(5))?))?.to_dtype(F32)?;
    let bias = case.given(8).map(|bias| bias.to_dtype(F32)).transpose()?;
    let sums = convolve(case, &x, &weight, bias.as_ref())?;
    let filter_scale = case.x(4).reshape([case.x(4).element_count(), 1, 1])?;
    let scale = case.x(1).mul(&filter_scale)?.div(case.x(6))?;
    let zero = case.x(7);
    saturated(&sums.mul(&scale)?.round()?.add(&zero.to_dtype(F32)?)?, zero.dtype())
}
