//! Conversions, and elements brought to other places.

mod convert;
mod index;

pub(super) use convert::{cast, copy};
pub(super) use index::{cat, index_select, write_rows};
