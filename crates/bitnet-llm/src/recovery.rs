//! Going on on another device when one fails: when that is allowed, and that it is never silent.

use std::fmt;

use bitnet_tensor::Device;
use bitnet_tensor::backend::{FallbackPolicy, fallback_policy, metrics};

use crate::error::LlmError;

/// Whether another device may be tried after `error`.
pub(crate) fn is_allowed(error: &LlmError) -> bool {
    error.is_of_device() && fallback_policy() != FallbackPolicy::Error
}

/// Counts that an engine goes on on another device, and says so.
pub(crate) fn record(from: Device, to: Device, cause: &dyn fmt::Display) {
    metrics::record_recovery();
    if fallback_policy() == FallbackPolicy::Warn {
        tracing::warn!(%from, %to, %cause, "going on on another device");
    }
}
