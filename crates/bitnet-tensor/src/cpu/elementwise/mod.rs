//! Functions of each element and of two elements, over any layouts.

mod compare;
mod select;
mod unary;

use bitnet_kernels::elementwise::{self as kernels, BinaryKind, Operand};
use bitnet_kernels::{Cpu, parallel};
use half::{bf16, f16};

use crate::cpu::GRAIN;
use crate::cpu::movement::{as_number, as_number_mut};
use crate::cpu::spans::{Scratch, Spans};
use crate::dtype::{Number, with_number_type};
use crate::error::{Result, error};
use crate::ops::{Binary, Op};
use crate::{BitNetDType, BitNetTensor};

pub(super) use compare::compare;
pub(super) use select::where_;
pub(super) use unary::{unary, unary_in_place};

pub(super) fn binary(
    cpu: Cpu,
    kind: BinaryKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    fn native<T: Number + kernels::Element>(
        cpu: Cpu,
        kind: BinaryKind,
        a: &BitNetTensor,
        b: &BitNetTensor,
        out: &mut BitNetTensor,
    ) -> Result<()> {
        zip::<T>(a, b, out, |a, b, out| kernels::binary(cpu, kind, a, b, out))
    }
    /// Computed in `f32`, rounded once.
    fn half<T: Number>(
        cpu: Cpu,
        kind: BinaryKind,
        a: &BitNetTensor,
        b: &BitNetTensor,
        out: &mut BitNetTensor,
    ) -> Result<()> {
        zip::<T>(a, b, out, |a, b, out| {
            let (mut left, mut right) = (vec![0.0f32; out.len()], vec![0.0f32; out.len()]);
            load(a, &mut left, Number::cast);
            load(b, &mut right, Number::cast);
            kernels::binary_assign(cpu, kind, &mut left, Operand::Slice(&right));
            load(Operand::Slice(&left), out, Number::cast);
        })
    }
    check_divisor(kind, a, b)?;
    match a.dtype() {
        BitNetDType::Bool => {
            let (a, b) = (&as_number(a)?, &as_number(b)?);
            as_number_mut(out, |out| native::<u8>(cpu, kind, a, b, out))
        }
        BitNetDType::U8 => native::<u8>(cpu, kind, a, b, out),
        BitNetDType::U16 => native::<u16>(cpu, kind, a, b, out),
        BitNetDType::U32 => native::<u32>(cpu, kind, a, b, out),
        BitNetDType::U64 => native::<u64>(cpu, kind, a, b, out),
        BitNetDType::I8 => native::<i8>(cpu, kind, a, b, out),
        BitNetDType::I16 => native::<i16>(cpu, kind, a, b, out),
        BitNetDType::I32 => native::<i32>(cpu, kind, a, b, out),
        BitNetDType::I64 => native::<i64>(cpu, kind, a, b, out),
        BitNetDType::F32 => native::<f32>(cpu, kind, a, b, out),
        BitNetDType::F64 => native::<f64>(cpu, kind, a, b, out),
        BitNetDType::F16 => half::<f16>(cpu, kind, a, b, out),
        BitNetDType::BF16 => half::<bf16>(cpu, kind, a, b, out),
        _ => Err(error!(UnsupportedOperation, "binary", &[a, b], "takes numbers")),
    }
}

/// Refuses what integers have no result for.
fn check_divisor(kind: BinaryKind, a: &BitNetTensor, b: &BitNetTensor) -> Result<()> {
    if !b.dtype().is_integer() {
        return Ok(());
    }
    let (bad, what): (fn(i128) -> bool, _) = match kind {
        BinaryKind::FloorDiv | BinaryKind::Rem | BinaryKind::Fmod => {
            (|n| n == 0, "division by zero")
        }
        BinaryKind::Pow => (|n| n < 0, "an integer has no negative power"),
        BinaryKind::Shl | BinaryKind::Shr => (|n| n < 0, "a shift by a negative number"),
        _ => return Ok(()),
    };
    let b_dense = b.contiguous()?;
    let found = with_number_type!(b.dtype(), T => {
        b_dense.as_slice::<T>()?.iter().position(|&n| bad(n.to_i128()))
    }, None);
    match found {
        None => Ok(()),
        Some(n) => Err(error!(
            ComputationError,
            Op::from(Binary(kind)).name(),
            &[a, b],
            "{what}: element {n} of the second operand"
        )),
    }
}

pub(super) fn binary_in_place(
    cpu: Cpu,
    kind: BinaryKind,
    target: &mut BitNetTensor,
    b: &BitNetTensor,
) -> Result<()> {
    if target.dtype() != BitNetDType::F32 {
        let a = target.copy()?;
        return binary(cpu, kind, &a, b, target);
    }
    let spans = Spans::new(target.shape(), [b.layout()]);
    let b = b.host_data::<f32>()?;
    parallel::for_each_chunk_mut(target.try_mut::<f32>()?, GRAIN, |i, chunk| {
        let mut scratch = Scratch::new();
        spans.walk(i * GRAIN, chunk.len(), |at, span| {
            let operand = span.operand(0, b, &mut scratch);
            kernels::binary_assign(cpu, kind, &mut chunk[at..][..span.length()], operand);
        });
    });
    Ok(())
}

/// `body(x, out)` for each span.
pub(super) fn map<S: Number, D: Number>(
    x: &BitNetTensor,
    out: &mut BitNetTensor,
    body: impl Fn(Operand<'_, S>, &mut [D]) + Sync,
) -> Result<()> {
    let spans = Spans::new(out.shape(), [x.layout()]);
    let x = x.host_data::<S>()?;
    parallel::for_each_chunk_mut(out.try_mut::<D>()?, GRAIN, |i, chunk| {
        let mut scratch = Scratch::new();
        spans.walk(i * GRAIN, chunk.len(), |at, span| {
            body(span.operand(0, x, &mut scratch), &mut chunk[at..][..span.length()]);
        });
    });
    Ok(())
}

/// `body(a, b, out)` for each span.
pub(super) fn zip<T: Number>(
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
    body: impl Fn(Operand<'_, T>, Operand<'_, T>, &mut [T]) + Sync,
) -> Result<()> {
    zip_into::<T, T>(a, b, out, body)
}

/// [`zip`] with a result of another type.
fn zip_into<T: Number, D: Number>(
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
    body: impl Fn(Operand<'_, T>, Operand<'_, T>, &mut [D]) + Sync,
) -> Result<()> {
    let spans = Spans::new(out.shape(), [a.layout(), b.layout()]);
    let (a, b) = (a.host_data::<T>()?, b.host_data::<T>()?);
    parallel::for_each_chunk_mut(out.try_mut::<D>()?, GRAIN, |i, chunk| {
        let (mut scratch_a, mut scratch_b) = (Scratch::new(), Scratch::new());
        spans.walk(i * GRAIN, chunk.len(), |at, span| {
            let a = span.operand(0, a, &mut scratch_a);
            let b = span.operand(1, b, &mut scratch_b);
            body(a, b, &mut chunk[at..][..span.length()]);
        });
    });
    Ok(())
}

/// `out[i] = convert(operand[i])`.
pub(super) fn load<S: Copy, D: Copy>(
    operand: Operand<'_, S>,
    out: &mut [D],
    convert: impl Fn(S) -> D,
) {
    match operand {
        Operand::Slice(x) => {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = convert(x);
            }
        }
        Operand::Scalar(x) => out.fill(convert(x)),
    }
}
