//! Products, decompositions and systems of equations.

use bitnet_tensor::BitNetDType::{BF16, F64};
use bitnet_tensor::{BitNetTensor, Result};

use crate::workload::{Run, Workload, numbers, run};

const fn of(family: &'static str, name: &'static str, make: fn() -> Result<Run>) -> Workload {
    Workload { family, name, make }
}

fn square(size: usize) -> Result<BitNetTensor> {
    numbers([size, size])
}

fn product(a: Result<BitNetTensor>, b: Result<BitNetTensor>) -> Result<Run> {
    let (a, b) = (a?, b?);
    run(move || a.matmul(&b))
}

fn einsum(specification: &'static str, shapes: [[usize; 3]; 2]) -> Result<Run> {
    let (a, b) = (numbers(shapes[0])?, numbers(shapes[1])?);
    run(move || BitNetTensor::einsum(specification, &[&a, &b]))
}

/// Of `F64`, as those libraries decompose.
fn decomposition(
    x: Result<BitNetTensor>,
    call: fn(&BitNetTensor) -> Result<BitNetTensor>,
) -> Result<Run> {
    let x = x?;
    run(move || call(&x))
}

fn half(size: usize) -> Result<BitNetTensor> {
    square(size)?.to_dtype(BF16)
}

fn wide(size: usize) -> Result<BitNetTensor> {
    square(size)?.to_dtype(F64)
}

/// `A·Aᵀ/n + 1`: symmetric and positive definite.
fn normal(size: usize) -> Result<BitNetTensor> {
    let a = wide(size)?;
    let square = a.matmul(&a.transpose(0, 1)?)?.div(size as f64)?;
    square.add(&BitNetTensor::eye(size, F64)?)
}

fn system(size: usize) -> Result<Run> {
    let (a, b) = (normal(size)?, numbers([size, 1])?.to_dtype(F64)?);
    run(move || a.solve(&b))
}

pub(crate) const WORKLOADS: &[Workload] = &[
    of("matmul", "f32 32", || product(square(32), square(32))),
    of("matmul", "f32 256", || product(square(256), square(256))),
    of("matmul", "f32 1024", || product(square(1024), square(1024))),
    of("matmul", "f32 2048", || product(square(2048), square(2048))),
    of("matmul", "f32 16x2560x2560", || product(numbers([16, 2560]), square(2560))),
    of("matmul", "f32 4096x4096 by a column", || product(square(4096), numbers([4096, 1]))),
    of("matmul", "f32 a row by 4096x4096", || product(numbers([1, 4096]), square(4096))),
    of("matmul", "bf16 1024", || product(half(1024), half(1024))),
    of("matmul", "f32 1024 transposed", || product(square(1024), square(1024)?.transpose(0, 1))),
    of("matmul", "f32 batch 64x128", || product(numbers([64, 128, 128]), numbers([64, 128, 128]))),
    of("matmul", "f64 256", || product(wide(256), wide(256))),
    of("einsum", "bij,bjk->bik 64x128", || einsum("bij,bjk->bik", [[64, 128, 128]; 2])),
    of("einsum", "ijk,jil->kl 64", || einsum("ijk,jil->kl", [[64, 64, 64]; 2])),
    of("decomposition", "svd 32", || decomposition(wide(32), |x| Ok(x.svd(false)?.1))),
    of("decomposition", "svd 512", || decomposition(wide(512), |x| Ok(x.svd(false)?.1))),
    of("decomposition", "qr 32", || decomposition(wide(32), |x| Ok(x.qr(false)?.1))),
    of("decomposition", "qr 512", || decomposition(wide(512), |x| Ok(x.qr(false)?.1))),
    of("decomposition", "cholesky 32", || decomposition(normal(32), |x| x.cholesky(false))),
    of("decomposition", "cholesky 512", || decomposition(normal(512), |x| x.cholesky(false))),
    of("decomposition", "eigh 512", || decomposition(normal(512), |x| Ok(x.eigh()?.0))),
    of("decomposition", "inverse 512", || decomposition(normal(512), |x| x.inv())),
    of("decomposition", "solve 32", || system(32)),
    of("decomposition", "solve 512", || system(512)),
];
