//! Many elements to one.

mod reduce;

pub(super) use reduce::{argmax, reduce};
