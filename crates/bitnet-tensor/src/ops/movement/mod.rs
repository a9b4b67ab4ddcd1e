//! Conversions, views, and elements brought to other places.

mod bitcast;
mod convert;
mod index;
mod view;

pub use bitcast::Bitcast;
pub use convert::{Cast, Copy};
pub use index::{Cat, IndexSelect, WriteRows};
pub use view::View;
