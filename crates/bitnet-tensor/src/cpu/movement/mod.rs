//! Conversions, and elements brought to other places.

mod assign;
mod bits;
mod cat;
mod convert;
mod rows;
mod select;

pub(super) use assign::{slice_scatter, slice_scatter_in_place};
pub(super) use bits::{as_bits, as_bits_mut, as_number, as_number_mut};
pub(super) use cat::cat;
pub(super) use convert::{cast, copy};
pub(super) use rows::write_rows;
pub(super) use select::{gather, index_select, resolved, scatter, scatter_in_place};
