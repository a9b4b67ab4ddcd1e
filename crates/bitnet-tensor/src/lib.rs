//! N-dimensional tensors with ternary weights, memory pools and pluggable backends.
//!
//! [`BitNetTensor`] is an array of numbers on a [`Device`]; its methods are the operations (see
//! [`ops`]). All of them pass through one function that infers shapes, promotes types, asks the
//! device's [`Backend`](backend::Backend) and records for gradients.
//!
//! ```
//! use bitnet_tensor::BitNetTensor;
//!
//! let x = BitNetTensor::from_vec(vec![1.0f32, -2.0, 3.0], [1, 3])?;
//! let weight = BitNetTensor::from_vec(vec![0.9f32, -0.8, 0.1, 0.0, 1.0, 1.0], [2, 3])?;
//!
//! // A ternary weight, as a BitNet layer has it: codes −1, 0, +1 and one scale.
//! let ternary = BitNetTensor::prepare_weight(&[&weight.ternarize()?])?;
//! let y = x.linear(&ternary)?;
//! assert_eq!(*y.shape(), [1, 2]);
//! # Ok::<(), bitnet_tensor::TensorOpError>(())
//! ```
//!
//! Who comes from NumPy or PyTorch finds the names in [`ops`].
//!
//! # Features
//! - `ndarray`: tensors from arrays of the crate `ndarray`, without copying owned ones, and back as
//!   arrays or views.

pub mod backend;
mod closeness;
pub mod cpu;
mod create;
mod device;
mod display;
mod dtype;
mod error;
mod grad;
mod io;
mod layout;
mod mapped;
pub mod memory;
pub mod ops;
pub mod random;
pub mod reference;
mod shape;
mod storage;
mod tensor;

pub use closeness::{Difference, Mismatch, Pair, assert_close};
pub use create::Nested;
pub use device::Device;
pub use display::{PrintOptions, print_options, set_print_options};
pub use dtype::{BitNetDType, Element, Number};
pub use error::{ErrorContext, Result, TensorOpError};
pub use grad::Gradients;
pub use io::NamedTensors;
pub use layout::{Layout, Strides};
pub use mapped::MappedFile;
pub use ops::{
    ErrorSums, Granularity, QuantizationError, QuantizationScheme, Quantized, QuantizedActivation,
    TernaryScale,
};
pub use shape::TensorShape;
pub use storage::{
    CodeLayout, DeviceBuffer, ForeignBytes, GroupedWeight, HostBuffer, PackedWeight, Storage,
};

pub use bitnet_kernels::blocks::BlockFormat;
pub use bitnet_kernels::ternary::I2sBlock;
pub use bitnet_kernels::tiled::TileEncoding;
pub use tensor::BitNetTensor;
