//! Products of matrices and what is made of them.

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
