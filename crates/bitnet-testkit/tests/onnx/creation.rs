//! Tensors made from numbers.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::{counting, sizes};
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("AffineGrid", |n| one(affine_grid(n))),
    ("BlackmanWindow", |n| one(window(n, &[0.42, -0.5, 0.08]))),
    ("Constant", |n| one(Ok(n.tensor("value").expect("a value")))),
    ("ConstantOfShape", |n| one(constant_of_shape(n))),
    ("EyeLike", |n| one(eye_like(n))),
    ("HammingWindow", |n| one(window(n, &[25.0 / 46.0, -21.0 / 46.0]))),
    ("HannWindow", |n| one(window(n, &[0.5, -0.5]))),
    ("Range", |n| one(range(n))),
];

fn constant_of_shape(case: &Case) -> Result<BitNetTensor> {
    let shape = sizes(&case.numbers(0)?.unwrap_or_default());
    let value = case.tensor("value").map_or_else(|| BitNetTensor::scalar(0f32), Ok)?;
    value.reshape([])?.expand(shape)
}

fn eye_like(case: &Case) -> Result<BitNetTensor> {
    let (x, k) = (case.x(0), case.integer("k", 0));
    let dtype = case.dtype("dtype").unwrap_or(x.dtype());
    BitNetTensor::eye_rectangular(x.shape()[0], x.shape()[1], k, dtype)
}

fn range(case: &Case) -> Result<BitNetTensor> {
    let number = |n: usize| case.x(n).to_dtype(BitNetDType::F64)?.item::<f64>();
    BitNetTensor::arange_step(number(0)?..number(1)?, number(2)?)?.to_dtype(case.x(0).dtype())
}

/// `Σ terms[k] · cos(2πkn/N)`, N one less unless periodic.
fn window(case: &Case, terms: &[f64]) -> Result<BitNetTensor> {
    let size = case.numbers(0)?.map_or(0, |size| size[0]);
    let period = size - isize::from(!case.flag("periodic", true));
    let turn = counting(size as usize)?
        .to_dtype(BitNetDType::F64)?
        .mul(std::f64::consts::TAU / period as f64)?;
    let mut sum = turn.zeros_like()?;
    for (k, term) in terms.iter().enumerate() {
        sum = sum.add(&turn.mul(k)?.cos()?.mul(*term)?)?;
    }
    sum.to_dtype(case.dtype("output_datatype").unwrap_or(BitNetDType::F32))
}

/// Coordinates of [−1, 1] on each axis, at the centres of the cells or from edge to edge, and one.
fn affine_grid(case: &Case) -> Result<BitNetTensor> {
    let (theta, size) = (case.x(0), sizes(&case.numbers(1)?.unwrap_or_default()));
    let (batch, space) = (size[0], &size[2..]);
    let axes = space.iter().map(|&count| {
        let end = if case.flag("align_corners", false) { 1.0 } else { 1.0 - 1.0 / count as f64 };
        BitNetTensor::linspace(-end, end, count, theta.dtype())
    });
    let axes = axes.collect::<Result<Vec<_>>>()?;
    let mut planes = BitNetTensor::meshgrid(&axes.iter().collect::<Vec<_>>())?;
    planes.reverse();
    planes.push(planes[0].ones_like()?);
    let grid = BitNetTensor::stack(&planes.iter().collect::<Vec<_>>(), -1)?;
    let points = grid.reshape([space.iter().product(), space.len() + 1])?;
    let placed = points.matmul(&theta.transpose(1, 2)?)?;
    let mut shape = vec![batch];
    shape.extend(space);
    shape.push(space.len());
    placed.reshape(shape)
}
