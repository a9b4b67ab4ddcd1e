//! Conversions, and elements brought to other places.

mod bits;
mod convert;
mod index;

pub(super) use bits::{as_bits, as_bits_mut, as_number, as_number_mut};
pub(super) use convert::{cast, copy};
pub(super) use index::{cat, index_select, write_rows};
