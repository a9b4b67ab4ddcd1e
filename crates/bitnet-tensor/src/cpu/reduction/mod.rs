//! Many elements to one, or to an order.
//!
//! `fold` is the one loop of reductions, over the elements that `source` reads in the order that
//! `plan` finds; `sort` gives the order to what searches and counts equal elements.

mod arg;
mod cumulative;
mod extreme;
mod fold;
mod logsumexp;
mod norm;
mod plan;
mod reduce;
mod search;
mod sort;
mod source;
mod spread;
mod sum;
mod unique;

pub(super) use arg::arg_extreme;
pub(super) use cumulative::cumulative;
pub(super) use logsumexp::logsumexp;
pub(super) use norm::norm;
pub(super) use reduce::reduce;
pub(super) use search::search_sorted;
pub(super) use sort::sort;
pub(super) use spread::variance;
pub(super) use unique::unique;
