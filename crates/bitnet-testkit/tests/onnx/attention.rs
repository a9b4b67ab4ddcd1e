//! Attention and rotary positions.

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
