//! Products, decompositions and systems of equations.

use bitnet_tensor::BitNetDType::F64;
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

pub(crate) const WORKLOADS: &[Workload] = &[
    of("matmul", "f32 32", || product(square(32), square(32))),
    of("matmul", "f32 256", || product(square(256), square(256))),
    of("matmul", "f32 1024", || product(square(1024), square(1024))),
    of("matmul", "f32 1024 transposed", || product(square(1024), square(1024)?.transpose(0, 1))),
    of("matmul", "f32 batch 64x128", || product(numbers([64, 128, 128]), numbers([64, 128, 128]))),
    of("matmul", "f64 256", || product(square(256)?.to_dtype(F64), square(256)?.to_dtype(F64))),
];
