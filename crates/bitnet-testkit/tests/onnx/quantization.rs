//! Linear quantization, and products of quantized numbers.

use crate::Adapters;

pub(crate) const ADAPTERS: Adapters = &[];
