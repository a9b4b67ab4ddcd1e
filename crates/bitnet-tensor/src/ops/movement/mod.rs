//! Conversions, views, and elements brought to other places.

mod arrange;
mod assign;
mod bitcast;
mod cat;
mod convert;
mod gather;
mod index;
mod rows;
mod select;
mod view;

pub use arrange::PadMode;
pub use assign::{AxisSlice, SliceScatter};
pub use bitcast::Bitcast;
pub use cat::Cat;
pub use convert::{Cast, Copy};
pub use gather::{Gather, Scatter, ScatterKind};
pub use index::{Ellipsis, Index, NewAxis, Slice};
pub use rows::WriteRows;
pub use select::IndexSelect;
pub use view::View;
