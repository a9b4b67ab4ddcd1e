//! Many elements to one, or to an order.

mod arg;
mod axes;
mod reduce;

pub use arg::ArgExtreme;
pub use reduce::{Reduce, ReduceKind};
