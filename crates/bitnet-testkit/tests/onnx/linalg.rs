//! linalg

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
