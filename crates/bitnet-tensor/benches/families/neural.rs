//! Layers of neural networks, and quantization.

use bitnet_tensor::{BitNetTensor, Result};

use crate::workload::{Run, Workload, numbers, run};

const fn of(family: &'static str, name: &'static str, make: fn() -> Result<Run>) -> Workload {
    Workload { family, name, make }
}

fn rows(call: fn(&BitNetTensor) -> Result<BitNetTensor>) -> Result<Run> {
    let x = numbers([1024, 1024])?;
    run(move || call(&x))
}

pub(crate) const WORKLOADS: &[Workload] = &[
    of("softmax", "softmax 1024x1024", || rows(|x| x.softmax(-1))),
    of("normalization", "rms_norm 1024x1024", || {
        let (x, weight) = (numbers([1024, 1024])?, numbers([1024])?);
        run(move || x.rms_norm(&weight, 1e-5))
    }),
    of("quantization", "int8 per row 1024x1024", || {
        rows(|x| Ok(x.quantize_activation()?.codes().clone()))
    }),
    of("quantization", "ternary 1024x1024", || rows(|x| x.ternarize())),
];
