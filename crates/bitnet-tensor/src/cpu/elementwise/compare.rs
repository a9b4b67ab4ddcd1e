//! Comparisons: bytes of 0 and 1 from two operands of any type.

use half::{bf16, f16};

use super::zip_into;
use crate::BitNetDType;
use crate::BitNetTensor;
use crate::cpu::movement::{as_number, as_number_mut};
use crate::dtype::Number;
use crate::error::{Result, error};
use crate::ops::CompareKind;

pub(in crate::cpu) fn compare(
    kind: CompareKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let (a, b) = (&as_number(a)?, &as_number(b)?);
    as_number_mut(out, |out| match a.dtype() {
        BitNetDType::U8 => typed::<u8>(kind, a, b, out),
        BitNetDType::U16 => typed::<u16>(kind, a, b, out),
        BitNetDType::U32 => typed::<u32>(kind, a, b, out),
        BitNetDType::U64 => typed::<u64>(kind, a, b, out),
        BitNetDType::I8 => typed::<i8>(kind, a, b, out),
        BitNetDType::I16 => typed::<i16>(kind, a, b, out),
        BitNetDType::I32 => typed::<i32>(kind, a, b, out),
        BitNetDType::I64 => typed::<i64>(kind, a, b, out),
        BitNetDType::F16 => typed::<f16>(kind, a, b, out),
        BitNetDType::BF16 => typed::<bf16>(kind, a, b, out),
        BitNetDType::F32 => typed::<f32>(kind, a, b, out),
        BitNetDType::F64 => typed::<f64>(kind, a, b, out),
        _ => Err(error!(UnsupportedOperation, "compare", &[a, b], "takes numbers")),
    })
}

fn typed<T: Number + PartialOrd>(
    kind: CompareKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    fn each<T: Number>(
        a: &BitNetTensor,
        b: &BitNetTensor,
        out: &mut BitNetTensor,
        holds: impl Fn(T, T) -> bool + Sync,
    ) -> Result<()> {
        use bitnet_kernels::elementwise::Operand::{Scalar, Slice};
        zip_into::<T, u8>(a, b, out, |a, b, out| match (a, b) {
            (Slice(a), Slice(b)) => {
                let pairs = a.iter().zip(b);
                out.iter_mut().zip(pairs).for_each(|(o, (&a, &b))| *o = u8::from(holds(a, b)));
            }
            (Slice(a), Scalar(b)) => {
                out.iter_mut().zip(a).for_each(|(o, &a)| *o = u8::from(holds(a, b)));
            }
            (Scalar(a), Slice(b)) => {
                out.iter_mut().zip(b).for_each(|(o, &b)| *o = u8::from(holds(a, b)));
            }
            (Scalar(a), Scalar(b)) => out.fill(u8::from(holds(a, b))),
        })
    }
    // A loop of its own for each question, so that it vectorises.
    match kind {
        CompareKind::Eq => each::<T>(a, b, out, |a, b| a == b),
        CompareKind::Ne => each::<T>(a, b, out, |a, b| a != b),
        CompareKind::Lt => each::<T>(a, b, out, |a, b| a < b),
        CompareKind::Le => each::<T>(a, b, out, |a, b| a <= b),
        CompareKind::Gt => each::<T>(b, a, out, |b, a| b < a),
        CompareKind::Ge => each::<T>(b, a, out, |b, a| b <= a),
    }
}
