//! Losses of classes.

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
