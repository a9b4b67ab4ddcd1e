//! Development only: what any backend is tested with, and the tests of the house.
//!
//! - [`conformance`]: every operation on every kind of operand, on a device and on the
//!   reference, compared by one table of tolerances.
//! - [`MockDevice`]: a device that only enqueues, for the promise that nothing inside a forward
//!   pass reads back.
//! - [`FaultyDevice`]: a device that fails at the n-th call, in each way in which backends fail.
//! - [`ThrottledDevice`]: a device of a chosen speed, for choices that measure.
//! - `tests/goldens`: the reference and the CPU against numbers of NumPy, PyTorch and ONNX.
//! - `tests/tidy.rs`: the rules of the sources.

pub mod compare;
pub mod conformance;
pub mod failing_writes;
mod faulty_device;
mod mock_device;
pub mod random;
mod throttled_device;

pub use compare::{Kind, Tolerance};
pub use faulty_device::{BackendCall, FaultyDevice};
pub use mock_device::{MockDevice, ReadsForbidden};
pub use random::Random;
pub use throttled_device::{Throttle, ThrottledDevice};
