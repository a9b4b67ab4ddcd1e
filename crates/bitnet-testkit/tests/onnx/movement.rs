//! Shapes, order, choice of elements.

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
