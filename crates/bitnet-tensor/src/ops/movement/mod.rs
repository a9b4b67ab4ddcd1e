//! Conversions, views, and elements brought to other places.

mod convert;
mod index;
mod view;

pub use convert::{Cast, Copy};
pub use index::{Cat, IndexSelect, WriteRows};
pub use view::View;
