//! Choosing elements and writing them.

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
