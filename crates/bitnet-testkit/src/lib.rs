//! Development only: what any backend is tested with, and the tests of the house.
//!
//! - [`conformance`]: every operation on every kind of operand, on a device and on the
//!   reference, compared by one table of tolerances.
//! - [`MockDevice`]: a device that only enqueues, for the promise that nothing inside a forward
//!   pass reads back.
//! - `tests/goldens`: the reference and the CPU against numbers of NumPy, PyTorch and ONNX.
//! - `tests/tidy.rs`: the rules of the sources.

pub mod compare;
pub mod conformance;
mod mock_device;
pub mod random;

pub use compare::{Kind, Tolerance};
pub use mock_device::{MockDevice, ReadsForbidden};
pub use random::Random;
