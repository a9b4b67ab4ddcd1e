//! The one error type of the crate.
//!
//! Every variant carries the operation's name, the operands that it was given and a sentence
//! that says what was wrong; the variant itself is the class that a program branches on. The
//! context is boxed, so a `Result` of a tensor operation stays small.

use std::fmt;

use crate::{BitNetTensor, Device};

/// The result of a tensor operation.
pub type Result<T, E = TensorOpError> = std::result::Result<T, E>;

/// What went wrong in a tensor operation, where, and with which operands.
///
/// ```
/// use bitnet_tensor::{BitNetDType, BitNetTensor, TensorOpError};
/// let a = BitNetTensor::zeros([2, 3], BitNetDType::F32)?;
/// let b = BitNetTensor::zeros([4], BitNetDType::F32)?;
/// let error = a.add(&b).unwrap_err();
/// assert!(matches!(error, TensorOpError::BroadcastError(_)));
/// assert_eq!(
///     error.to_string(),
///     "add(f32[2, 3], f32[4]): shapes do not broadcast: axis -1 has sizes 3 and 4"
/// );
/// # Ok::<(), TensorOpError>(())
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorOpError {
    /// A shape that the operation cannot take.
    #[error("{0}")]
    ShapeMismatch(Box<ErrorContext>),
    /// Shapes that NumPy's broadcasting rules do not unite.
    #[error("{0}")]
    BroadcastError(Box<ErrorContext>),
    /// Operands on different devices, or a device that does not exist.
    #[error("{0}")]
    DeviceMismatch(Box<ErrorContext>),
    /// An element type that the operation cannot take.
    #[error("{0}")]
    DTypeMismatch(Box<ErrorContext>),
    /// The computation could not be carried out on these values (an index out of range, say).
    #[error("{0}")]
    ComputationError(Box<ErrorContext>),
    /// No backend implements the operation for these operands.
    #[error("{0}")]
    UnsupportedOperation(Box<ErrorContext>),
    /// Memory could not be had.
    #[error("{0}")]
    MemoryError(Box<ErrorContext>),
    /// A backend failed; [`is_device_lost`](TensorOpError::is_device_lost) tells whether the contents
    /// of its device are gone.
    #[error("{0}")]
    BackendError(Box<ErrorContext>),
    /// The tensor itself is not usable for this: bad length, shared storage, no gradient.
    #[error("{0}")]
    InvalidTensor(Box<ErrorContext>),
    /// A number that mathematics does not define here: NaN found by the check, a singular matrix.
    #[error("{0}")]
    NumericalError(Box<ErrorContext>),
    /// A file that cannot be read or written, or is malformed.
    #[error("{0}")]
    FileError(Box<ErrorContext>),
    /// A broken promise inside the library; please report it.
    #[error("{0}")]
    InternalError(Box<ErrorContext>),
}

/// Where an error happened: the operation, its operands, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorContext {
    /// The operation's name, as its method is called.
    pub operation: &'static str,
    /// Each operand as `dtype[shape]`, with `@device` when it is not the CPU.
    pub operands: Vec<String>,
    /// What was wrong.
    pub reason: String,
    /// The device whose contents are gone, in a `BackendError` that says so.
    pub lost_device: Option<Device>,
}

impl ErrorContext {
    /// The context of an error of `operation` over `operands`, boxed as the variants hold it: how
    /// backends in other crates report.
    ///
    /// ```
    /// use bitnet_tensor::{ErrorContext, TensorOpError};
    /// let error = TensorOpError::BackendError(ErrorContext::new("download", &[], "the device is lost"));
    /// assert_eq!(error.to_string(), "download: the device is lost");
    /// ```
    pub fn new(
        operation: &'static str,
        operands: &[&BitNetTensor],
        reason: impl Into<String>,
    ) -> Box<Self> {
        context(operation, operands, reason)
    }
}

impl fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if !self.operands.is_empty() {
            write!(f, "({})", self.operands.join(", "))?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl TensorOpError {
    /// The `BackendError` of a device that is gone with everything on it: how backends report it,
    /// from whichever call finds it out first, and from every later one.
    pub fn device_lost(
        device: Device,
        operation: &'static str,
        operands: &[&BitNetTensor],
        reason: impl fmt::Display,
    ) -> Self {
        let mut context = context(operation, operands, format!("{device} is lost: {reason}"));
        context.lost_device = Some(device);
        Self::BackendError(context)
    }

    /// The error of an operation inside of `name`, as one of `name` itself.
    pub(crate) fn inside(mut self, name: &'static str, operands: &[&BitNetTensor]) -> Self {
        let inner = self.context_mut();
        let reason = if inner.operation == name || inner.operands.is_empty() {
            std::mem::take(&mut inner.reason)
        } else {
            inner.to_string()
        };
        let lost_device = inner.lost_device;
        *inner = ErrorContext { lost_device, ..*context(name, operands, reason) };
        self
    }

    /// Where the error happened and why.
    pub fn context(&self) -> &ErrorContext {
        match self {
            Self::ShapeMismatch(c)
            | Self::BroadcastError(c)
            | Self::DeviceMismatch(c)
            | Self::DTypeMismatch(c)
            | Self::ComputationError(c)
            | Self::UnsupportedOperation(c)
            | Self::MemoryError(c)
            | Self::BackendError(c)
            | Self::InvalidTensor(c)
            | Self::NumericalError(c)
            | Self::FileError(c)
            | Self::InternalError(c) => c,
        }
    }

    fn context_mut(&mut self) -> &mut ErrorContext {
        match self {
            Self::ShapeMismatch(c)
            | Self::BroadcastError(c)
            | Self::DeviceMismatch(c)
            | Self::DTypeMismatch(c)
            | Self::ComputationError(c)
            | Self::UnsupportedOperation(c)
            | Self::MemoryError(c)
            | Self::BackendError(c)
            | Self::InvalidTensor(c)
            | Self::NumericalError(c)
            | Self::FileError(c)
            | Self::InternalError(c) => c,
        }
    }
}

impl fmt::Debug for TensorOpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `unwrap` prints the Debug form: the readable sentence serves better than the tree.
        let name = match self {
            Self::ShapeMismatch(_) => "ShapeMismatch",
            Self::BroadcastError(_) => "BroadcastError",
            Self::DeviceMismatch(_) => "DeviceMismatch",
            Self::DTypeMismatch(_) => "DTypeMismatch",
            Self::ComputationError(_) => "ComputationError",
            Self::UnsupportedOperation(_) => "UnsupportedOperation",
            Self::MemoryError(_) => "MemoryError",
            Self::BackendError(_) => "BackendError",
            Self::InvalidTensor(_) => "InvalidTensor",
            Self::NumericalError(_) => "NumericalError",
            Self::FileError(_) => "FileError",
            Self::InternalError(_) => "InternalError",
        };
        write!(f, "{name}: {}", self.context())
    }
}

/// Builds the context of an error of `operation` over `operands`.
pub(crate) fn context(
    operation: &'static str,
    operands: &[&BitNetTensor],
    reason: impl Into<String>,
) -> Box<ErrorContext> {
    Box::new(ErrorContext {
        operation,
        operands: operands.iter().map(|t| describe(t)).collect(),
        reason: reason.into(),
        lost_device: None,
    })
}

fn describe(tensor: &BitNetTensor) -> String {
    let mut text = format!("{}{}", tensor.dtype(), tensor.shape());
    if tensor.device() != Device::CPU {
        text.push_str(&format!("@{}", tensor.device()));
    }
    text
}

/// `return Err(TensorOpError::$variant(…))` with a formatted reason.
macro_rules! bail {
    ($variant:ident, $operation:expr, $operands:expr, $($reason:tt)+) => {
        return Err($crate::error::error!($variant, $operation, $operands, $($reason)+))
    };
}

/// `TensorOpError::$variant(…)` with a formatted reason.
macro_rules! error {
    ($variant:ident, $operation:expr, $operands:expr, $($reason:tt)+) => {
        $crate::TensorOpError::$variant($crate::error::context($operation, $operands, format!($($reason)+)))
    };
}

pub(crate) use {bail, error};
