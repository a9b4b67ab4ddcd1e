//! Tensors made from numbers.

use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::sizes;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Constant", |n| one(Ok(n.tensor("value").expect("a value")))),
    ("ConstantOfShape", |n| one(constant_of_shape(n))),
];

fn constant_of_shape(case: &Case) -> Result<BitNetTensor> {
    let shape = sizes(&case.numbers(0)?.unwrap_or_default());
    let value = case.tensor("value").map_or_else(|| BitNetTensor::scalar(0f32), Ok)?;
    value.reshape([])?.expand(shape)
}
