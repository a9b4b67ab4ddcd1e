//! Values that kernels cannot take: an index outside of its axis. A kernel notes the operation and
//! the value, whoever waits next is told.

use bitnet_tensor::{ErrorContext, TensorOpError};

/// The operations whose kernels look at values, in the order of their codes, which begin at 1.
const CHECKED: [&str; 8] = [
    "index_select",
    "gather",
    "write_rows",
    "rope",
    "attention",
    "scatter",
    "scatter_add",
    "scatter_reduce",
];

/// What a kernel of `operation` reports with.
pub(crate) fn code(operation: &str) -> u32 {
    CHECKED.iter().position(|&name| name == operation).map_or(0, |place| place as u32 + 1)
}

/// What was reported: a code and a value.
pub(crate) fn error([code, value]: [u32; 2]) -> TensorOpError {
    let place = (code as usize).checked_sub(1);
    let operation = place.and_then(|place| CHECKED.get(place)).copied().unwrap_or("kernel");
    let value = value as i32;
    let reason =
        format!("{value} is out of range; the device found it, its results are unspecified");
    TensorOpError::ComputationError(ErrorContext::new(operation, &[], reason))
}
