//! Many elements to one, or to an order.

mod arg;
mod axes;
mod cumulative;
mod histogram;
mod logsumexp;
mod norm;
mod quantile;
mod reduce;
mod search;
mod sort;
mod spread;
mod unique;

pub use arg::ArgExtreme;
pub use cumulative::{Cumulative, CumulativeKind};
pub use logsumexp::LogSumExp;
pub use norm::Norm;
pub use quantile::Interpolation;
pub use reduce::{Reduce, ReduceKind};
pub use search::SearchSorted;
pub use sort::Sort;
pub use spread::Variance;
pub use unique::{Unique, UniqueRows};
