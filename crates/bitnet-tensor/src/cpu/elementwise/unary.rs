//! Functions of one element.

use bitnet_kernels::elementwise::{self as kernels, Operand, UnaryKind};
use bitnet_kernels::{Cpu, parallel};
use half::{bf16, f16};

use super::{load, map};
use crate::cpu::GRAIN;
use crate::dtype::Number;
use crate::error::{Result, error};
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn unary(
    cpu: Cpu,
    kind: UnaryKind,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    match x.dtype() {
        BitNetDType::F32 => map::<f32, f32>(x, out, |operand, out| match operand {
            Operand::Slice(x) => kernels::unary(cpu, kind, x, out),
            Operand::Scalar(x) => {
                out.fill(x);
                kernels::unary_assign(cpu, kind, out);
            }
        }),
        BitNetDType::F64 => map::<f64, f64>(x, out, |operand, out| {
            load(operand, out, |x| kernels::unary_f64(kind, x));
        }),
        BitNetDType::F16 => unary_half::<f16>(cpu, kind, x, out),
        BitNetDType::BF16 => unary_half::<bf16>(cpu, kind, x, out),
        BitNetDType::U8 => integers::<u8>(kind, x, out),
        BitNetDType::U16 => integers::<u16>(kind, x, out),
        BitNetDType::U32 => integers::<u32>(kind, x, out),
        BitNetDType::U64 => integers::<u64>(kind, x, out),
        BitNetDType::I8 => integers::<i8>(kind, x, out),
        BitNetDType::I16 => integers::<i16>(kind, x, out),
        BitNetDType::I32 => integers::<i32>(kind, x, out),
        BitNetDType::I64 => integers::<i64>(kind, x, out),
        _ => Err(error!(UnsupportedOperation, "unary", &[x], "takes numbers")),
    }
}

/// Computed in `f32`, rounded once.
fn unary_half<T: Number>(
    cpu: Cpu,
    kind: UnaryKind,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    map::<T, T>(x, out, |operand, out| {
        let mut wide = vec![0.0f32; out.len()];
        load(operand, &mut wide, Number::cast);
        kernels::unary_assign(cpu, kind, &mut wide);
        load(Operand::Slice(&wide), out, Number::cast);
    })
}

pub(in crate::cpu) fn unary_in_place(
    cpu: Cpu,
    kind: UnaryKind,
    target: &mut BitNetTensor,
) -> Result<()> {
    if target.dtype() == BitNetDType::F32 {
        let data = target.try_mut::<f32>()?;
        parallel::for_each_chunk_mut(data, GRAIN, |_, chunk| {
            kernels::unary_assign(cpu, kind, chunk)
        });
        return Ok(());
    }
    let x = target.copy()?;
    unary(cpu, kind, &x, target)
}

/// Exact in 128 bits; what does not fit the type wraps around.
fn integers<T: Number>(kind: UnaryKind, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    map::<T, T>(x, out, |operand, out| {
        load(operand, out, |x| {
            let n = x.to_i128();
            T::from_i128(match kind {
                UnaryKind::Neg => -n,
                UnaryKind::Abs => n.abs(),
                UnaryKind::Sign => n.signum(),
                UnaryKind::Square => n.wrapping_mul(n),
                UnaryKind::Relu => n.max(0),
                // The roundings.
                _ => n,
            })
        });
    })
}
