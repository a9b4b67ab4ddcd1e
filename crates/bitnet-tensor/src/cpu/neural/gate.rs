//! Gated activations.

use bitnet_kernels::Cpu;
use bitnet_kernels::elementwise::{self as kernels, GateKind, Operand};

use crate::BitNetTensor;
use crate::cpu::elementwise::{load, zip};
use crate::error::Result;

pub(in crate::cpu) fn gate(
    cpu: Cpu,
    kind: GateKind,
    gate: &BitNetTensor,
    up: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    zip::<f32>(gate, up, out, |gate, up, out| match (gate, up) {
        (Operand::Slice(gate), Operand::Slice(up)) => kernels::gate(cpu, kind, gate, up, out),
        (gate, up) => {
            let (mut left, mut right) = (vec![0.0; out.len()], vec![0.0; out.len()]);
            load(gate, &mut left, |x| x);
            load(up, &mut right, |x| x);
            kernels::gate(cpu, kind, &left, &right, out);
        }
    })
}
