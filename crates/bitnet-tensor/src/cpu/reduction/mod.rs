//! Many elements to one, or to an order.

mod arg;
mod extreme;
mod fold;
mod plan;
mod reduce;
mod source;
mod sum;

pub(super) use arg::arg_extreme;
pub(super) use reduce::reduce;
