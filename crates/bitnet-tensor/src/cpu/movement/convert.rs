//! Copies into row-major order, and into another type.

use bitnet_kernels::{Cpu, convert, parallel};
use half::{bf16, f16};

use crate::cpu::GRAIN;
use crate::cpu::elementwise::{load, map};
use crate::cpu::spans::Spans;
use crate::dtype::{Number, with_number_type};
use crate::error::{Result, error};
use crate::{BitNetDType, BitNetTensor, Element};

pub(in crate::cpu) fn copy(x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    with_number_type!(x.dtype(), T => {
        let spans = Spans::new(out.shape(), [x.layout()]);
        let (x, grain) = (x.host_data::<T>()?, spans.grain(GRAIN));
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, grain, |i, chunk| {
            spans.copy(x, i * grain, chunk);
        });
        Ok(())
    }, {
        let x = bits_of_bool(x)?;
        write_bool::<u8>(&x, out, |byte| byte != 0)
    })
}

pub(in crate::cpu) fn cast(cpu: Cpu, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    // The loads of models: whole slices, one instruction for sixteen numbers.
    if x.is_contiguous() {
        match (x.dtype(), out.dtype()) {
            (BitNetDType::BF16, BitNetDType::F32) => {
                return convert_slices::<bf16, f32>(x, out, |x, out| {
                    convert::bf16_to_f32(cpu, x, out)
                });
            }
            (BitNetDType::F16, BitNetDType::F32) => {
                return convert_slices::<f16, f32>(x, out, |x, out| {
                    convert::f16_to_f32(cpu, x, out)
                });
            }
            (BitNetDType::F32, BitNetDType::BF16) => {
                return convert_slices::<f32, bf16>(x, out, |x, out| {
                    convert::f32_to_bf16(cpu, x, out)
                });
            }
            (BitNetDType::F32, BitNetDType::F16) => {
                return convert_slices::<f32, f16>(x, out, |x, out| {
                    convert::f32_to_f16(cpu, x, out)
                });
            }
            _ => {}
        }
    }
    let to = out.dtype();
    with_number_type!(x.dtype(), S => {
        with_number_type!(to, D => cast_elements::<S, D>(x, out), {
            write_bool::<S>(x, out, |value| value.to_f64() != 0.0)
        })
    }, {
        let bytes = bits_of_bool(x)?;
        with_number_type!(to, D => cast_elements::<u8, D>(&bytes, out),
            Err(error!(InternalError, "to_dtype", &[x], "cannot become {to}")))
    })
}

fn convert_slices<S: Element, D: Number>(
    x: &BitNetTensor,
    out: &mut BitNetTensor,
    convert: impl Fn(&[S], &mut [D]) + Sync,
) -> Result<()> {
    let x = x.as_slice::<S>()?;
    parallel::for_each_chunk_mut(out.try_mut::<D>()?, GRAIN, |i, chunk| {
        convert(&x[i * GRAIN..][..chunk.len()], chunk);
    });
    Ok(())
}

fn cast_elements<S: Number, D: Number>(x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    map::<S, D>(x, out, |x, out| load(x, out, Number::cast))
}

/// A `Bool` tensor seen as its bytes, each 0 or 1: foreign ones are looked at here.
fn bits_of_bool(x: &BitNetTensor) -> Result<BitNetTensor> {
    x.host_data::<bool>()?;
    Ok(x.reinterpreted(BitNetDType::U8))
}

/// Writes a `Bool` output as bytes of 0 and 1.
fn write_bool<S: Number>(
    x: &BitNetTensor,
    out: &mut BitNetTensor,
    test: impl Fn(S) -> bool + Sync,
) -> Result<()> {
    out.reinterpret(BitNetDType::U8);
    let result = map::<S, u8>(x, out, |x, out| load(x, out, |value| u8::from(test(value))));
    out.reinterpret(BitNetDType::Bool);
    result
}
