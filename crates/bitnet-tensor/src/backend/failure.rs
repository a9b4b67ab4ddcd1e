//! The ways in which a backend can fail, told apart: what decides whether an operation is executed
//! elsewhere, whether an engine has to begin anew, or whether the numbers themselves are at fault.

use std::fmt;

use crate::TensorOpError;

/// How a backend failed.
///
/// | kind | error | what follows |
/// |---|---|---|
/// | `Unsupported` | `UnsupportedOperation` | nothing was enqueued: the operation is executed on the next device |
/// | `OutOfMemory` | `MemoryError` | the same |
/// | `DeviceLost` | `BackendError` with [`lost_device`](crate::ErrorContext::lost_device) | what the device held is gone: the program has to begin anew on another one |
/// | `Numerical` | `NumericalError` | the numbers are at fault, on every device |
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The backend cannot do this.
    Unsupported,
    /// The device has no memory for it.
    OutOfMemory,
    /// The device is gone, with everything on it.
    DeviceLost,
    /// A check found a number that should not be.
    Numerical,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Unsupported, Self::OutOfMemory, Self::DeviceLost, Self::Numerical];

    /// Whether another device can execute the same operation on the same operands.
    pub fn may_fall_back(self) -> bool {
        matches!(self, Self::Unsupported | Self::OutOfMemory)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unsupported => "unsupported",
            Self::OutOfMemory => "out of memory",
            Self::DeviceLost => "device lost",
            Self::Numerical => "numerical",
        })
    }
}

impl TensorOpError {
    /// How the backend failed, where that is what the error says: other errors are the caller's.
    ///
    /// ```
    /// use bitnet_tensor::backend::FailureKind;
    /// use bitnet_tensor::{Device, TensorOpError};
    /// let error = TensorOpError::device_lost(Device::new("cuda", 0), "download", &[], "reset");
    /// assert_eq!(error.failure(), Some(FailureKind::DeviceLost));
    /// assert_eq!(error.to_string(), "download: cuda:0 is lost: reset");
    /// ```
    pub fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::UnsupportedOperation(_) => Some(FailureKind::Unsupported),
            Self::MemoryError(_) => Some(FailureKind::OutOfMemory),
            Self::BackendError(context) if context.lost_device.is_some() => {
                Some(FailureKind::DeviceLost)
            }
            Self::NumericalError(_) => Some(FailureKind::Numerical),
            _ => None,
        }
    }

    /// Whether the contents of a device are gone.
    pub fn is_device_lost(&self) -> bool {
        self.failure() == Some(FailureKind::DeviceLost)
    }
}
