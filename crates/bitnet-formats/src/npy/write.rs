//! Writing the header of an `.npy` file; the elements follow it as they are.

use std::io::Write;

use super::{MAGIC, MAX_RANK};
use crate::error::FormatError;
use crate::raw::RawDType;

/// The elements begin at a multiple of this, so that a mapped file is aligned; as NumPy does.
const ALIGNMENT: usize = 64;

/// Magic, version and the two bytes of the length.
const FIXED_BYTES: usize = MAGIC.len() + 4;

/// Writes the header of an array whose little-endian elements follow. The bytes are those that
/// NumPy writes.
///
/// # Errors
/// More than [`MAX_RANK`] axes, or a failing write.
pub fn write_npy_header(
    out: &mut impl Write,
    dtype: RawDType,
    shape: &[usize],
    fortran_order: bool,
) -> Result<(), FormatError> {
    if shape.len() > MAX_RANK {
        return Err(FormatError::malformed(format!(
            "an .npy file has at most {MAX_RANK} axes, the array has {}",
            shape.len()
        )));
    }
    let fortran_order = if fortran_order { "True" } else { "False" };
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': {fortran_order}, 'shape': {}, }}",
        descr(dtype),
        tuple(shape)
    );
    // Room for the first axis to grow in place, as NumPy leaves it.
    let growing = if fortran_order == "True" { shape.last() } else { shape.first() };
    if let Some(size) = growing {
        const LONGEST_SIZE: usize = 21;
        text.push_str(&" ".repeat(LONGEST_SIZE.saturating_sub(size.to_string().len())));
    }
    let end = (FIXED_BYTES + text.len() + 1).next_multiple_of(ALIGNMENT);
    text.push_str(&" ".repeat(end - FIXED_BYTES - text.len() - 1));
    text.push('\n');
    // At most 64 sizes of 20 digits: far below the 65,535 bytes of version 1.0.
    let length = u16::try_from(text.len())
        .map_err(|_| FormatError::malformed("the header is too long for version 1.0"))?;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn tuple(shape: &[usize]) -> String {
    match shape {
        [size] => format!("({size},)"),
        _ => {
            let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
            format!("({})", sizes.join(", "))
        }
    }
}

const fn descr(dtype: RawDType) -> &'static str {
    match dtype {
        RawDType::Bool => "|b1",
        RawDType::U8 => "|u1",
        RawDType::I8 => "|i1",
        RawDType::U16 => "<u2",
        RawDType::I16 => "<i2",
        RawDType::F16 => "<f2",
        RawDType::BF16 => "<V2",
        RawDType::U32 => "<u4",
        RawDType::I32 => "<i4",
        RawDType::F32 => "<f4",
        RawDType::U64 => "<u8",
        RawDType::I64 => "<i8",
        RawDType::F64 => "<f8",
    }
}
