//! Elements of any type read in blocks as one of two wide types, and results written back.
//!
//! Floats become `f64` and integers `i64`, so that a reduction is compiled twice and not once per
//! type. Both are exact for what is read; a sum or product of 64-bit integers wraps around to the
//! same bits whether they are signed or not.

use bitnet_kernels::parallel;
use half::{bf16, f16};

use crate::cpu::GRAIN;
use crate::cpu::elementwise::load;
use crate::cpu::spans::{Scratch, Span, Spans};
use crate::dtype::{Number, with_number_type};
use crate::error::{Result, error};
use crate::{BitNetDType, BitNetTensor};

/// The elements of a tensor as numbers of a wide type.
pub(super) trait Source<W>: Sync {
    /// The elements `start..start + out.len()` of `spans`, displaced.
    fn read(&self, spans: &Spans<1>, displacement: isize, start: usize, out: &mut [W]);
}

/// What an integer stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its bits, extended by the sign of its type.
    Bits,
    /// A number in the order of the values: `u64` is moved down by half of its range.
    Order,
    /// Whether it is not zero, as 0 or 1; of floats too.
    Truth,
}

impl Reading {
    /// The bits of a number that was read as this.
    pub(super) fn bits(self, dtype: BitNetDType, value: i64) -> i64 {
        if self == Self::Order && dtype == BitNetDType::U64 { value ^ i64::MIN } else { value }
    }
}

/// A float tensor as `f64`.
pub(super) fn floats(x: &BitNetTensor) -> Result<Box<dyn Source<f64> + '_>> {
    Ok(match x.dtype() {
        BitNetDType::F16 => Box::new(Floats(x.host_data::<f16>()?)),
        BitNetDType::BF16 => Box::new(Floats(x.host_data::<bf16>()?)),
        BitNetDType::F32 => Box::new(Floats(x.host_data::<f32>()?)),
        BitNetDType::F64 => Box::new(Floats(x.host_data::<f64>()?)),
        _ => return Err(error!(InternalError, "read", &[x], "takes floats")),
    })
}

/// A tensor as `i64`. `Bool` comes as its bytes, see [`bytes_of_bool`].
pub(super) fn integers(x: &BitNetTensor, reading: Reading) -> Result<Box<dyn Source<i64> + '_>> {
    with_number_type!(x.dtype(), T => {
        Ok(Box::new(Integers { data: x.host_data::<T>()?, reading }))
    }, Err(error!(InternalError, "read", &[x], "takes numbers")))
}

/// A `Bool` tensor seen as its bytes, each 0 or 1: foreign ones are looked at here. Others stay.
pub(super) fn bytes_of_bool(x: &BitNetTensor) -> Result<BitNetTensor> {
    if x.dtype() != BitNetDType::Bool {
        return Ok(x.detach());
    }
    x.host_data::<bool>()?;
    Ok(x.reinterpreted(BitNetDType::U8))
}

/// What is read quickly: a half float tensor as `F32`, and [`bytes_of_bool`]. Views keep their type:
/// a broadcast one may have more elements than memory.
pub(super) fn readable(x: &BitNetTensor) -> Result<BitNetTensor> {
    if matches!(x.dtype(), BitNetDType::F16 | BitNetDType::BF16) && x.is_contiguous() {
        return x.detach().to_dtype(BitNetDType::F32);
    }
    bytes_of_bool(x)
}

struct Floats<'a, T>(&'a [T]);

impl<T: Number> Source<f64> for Floats<'_, T> {
    fn read(&self, spans: &Spans<1>, displacement: isize, start: usize, out: &mut [f64]) {
        fill(self.0, spans, displacement, start, out, T::to_f64);
    }
}

struct Integers<'a, T> {
    data: &'a [T],
    reading: Reading,
}

impl<T: Number> Source<i64> for Integers<'_, T> {
    fn read(&self, spans: &Spans<1>, displacement: isize, start: usize, out: &mut [i64]) {
        if self.reading == Reading::Truth {
            let truth = |x: T| i64::from(x.to_f64() != 0.0);
            return fill(self.data, spans, displacement, start, out, truth);
        }
        let order = self.reading == Reading::Order && T::DTYPE == BitNetDType::U64;
        let sign = if order { i64::MIN } else { 0 };
        fill(self.data, spans, displacement, start, out, |x| x.to_i128() as i64 ^ sign);
    }
}

fn fill<T: Copy, W: Copy>(
    data: &[T],
    spans: &Spans<1>,
    displacement: isize,
    start: usize,
    out: &mut [W],
    wide: impl Fn(T) -> W,
) {
    let mut scratch = Scratch::new();
    let length = out.len();
    // One walk for all types.
    let body: &mut dyn FnMut(usize, &Span<1>) = &mut |at, span| {
        load(span.operand(0, data, &mut scratch), &mut out[at..][..span.length()], &wide);
    };
    spans.walk_displaced([displacement], start, length, body);
}

/// Writes floats, each rounded once.
pub(super) fn write_floats(values: &[f64], out: &mut BitNetTensor) -> Result<()> {
    with_number_type!(out.dtype(), T => {
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, GRAIN, |i, chunk| {
            for (out, &value) in chunk.iter_mut().zip(&values[i * GRAIN..]) {
                *out = T::from_f64(value);
            }
        });
        Ok(())
    }, Err(error!(InternalError, "write", &[], "the output is not of floats")))
}

/// Writes integers, their low bits; into `Bool` 0 and 1.
pub(super) fn write_integers(values: &[i64], out: &mut BitNetTensor) -> Result<()> {
    if out.dtype() == BitNetDType::Bool {
        out.reinterpret(BitNetDType::U8);
        let result = write_integers(values, out);
        out.reinterpret(BitNetDType::Bool);
        return result;
    }
    with_number_type!(out.dtype(), T => {
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, GRAIN, |i, chunk| {
            for (out, &value) in chunk.iter_mut().zip(&values[i * GRAIN..]) {
                *out = T::from_i128(i128::from(value));
            }
        });
        Ok(())
    }, Err(error!(InternalError, "write", &[], "the output is not of integers")))
}
