//! Elements as plain numbers of their size: what moves them does not have to know their type.

use crate::error::Result;
use crate::{BitNetDType, BitNetTensor};

/// `Bool` as bytes that are 0 or 1 (foreign ones are looked at here); other types as they are.
pub(in crate::cpu) fn as_number(x: &BitNetTensor) -> Result<BitNetTensor> {
    if x.dtype() != BitNetDType::Bool {
        return Ok(x.clone());
    }
    x.host_data::<bool>()?;
    Ok(x.reinterpreted(BitNetDType::U8))
}

/// Runs `body` on `out` seen as by [`as_number`]; it writes 0 and 1 only.
pub(in crate::cpu) fn as_number_mut(
    out: &mut BitNetTensor,
    body: impl FnOnce(&mut BitNetTensor) -> Result<()>,
) -> Result<()> {
    let dtype = out.dtype();
    if dtype == BitNetDType::Bool {
        out.reinterpret(BitNetDType::U8);
    }
    let result = body(out);
    out.reinterpret(dtype);
    result
}

/// Any dense type as the unsigned integer of its size.
pub(in crate::cpu) fn as_bits(x: &BitNetTensor) -> Result<BitNetTensor> {
    Ok(as_number(x)?.reinterpreted(bits_type(x.dtype())))
}

/// Runs `body` on `out` seen as by [`as_bits`], with the size of an element in bytes.
pub(in crate::cpu) fn as_bits_mut(
    out: &mut BitNetTensor,
    body: impl FnOnce(&mut BitNetTensor, usize) -> Result<()>,
) -> Result<()> {
    let dtype = out.dtype();
    out.reinterpret(bits_type(dtype));
    let result = body(out, dtype.size_in_bytes().unwrap_or(0));
    out.reinterpret(dtype);
    result
}

fn bits_type(dtype: BitNetDType) -> BitNetDType {
    match dtype.size_in_bytes() {
        Some(1) => BitNetDType::U8,
        Some(2) => BitNetDType::U16,
        Some(4) => BitNetDType::U32,
        Some(8) => BitNetDType::U64,
        _ => dtype,
    }
}

/// [`as_bits`] for elements that are moved and not read: a foreign byte may be no truth value.
pub(super) fn bits_as_they_are(x: &BitNetTensor) -> BitNetTensor {
    x.reinterpreted(bits_type(x.dtype()))
}

/// Runs `$body` with `$out` seen as unsigned integers of its elements' size, which `$T` names.
macro_rules! with_bits_mut {
    ($out:ident, $T:ident => $body:expr) => {
        $crate::cpu::movement::as_bits_mut($out, |$out, size| match size {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        })
    };
}
pub(super) use with_bits_mut;
