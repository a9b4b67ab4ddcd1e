//! Many elements to one, or to an order.

mod reduce;

pub use reduce::{ArgMax, Reduce, ReduceKind};
