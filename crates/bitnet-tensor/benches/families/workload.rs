//! What a workload is, and the numbers that it works on.

use bitnet_tensor::{BitNetTensor, Result};

/// A call to measure.
pub(crate) type Run = Box<dyn FnMut() -> Result<BitNetTensor>>;

/// An operation on operands of some size.
pub(crate) struct Workload {
    pub(crate) family: &'static str,
    pub(crate) name: &'static str,
    /// Makes the operands and the call.
    pub(crate) make: fn() -> Result<Run>,
}

/// A call that keeps its operands.
pub(crate) fn run(call: impl FnMut() -> Result<BitNetTensor> + 'static) -> Result<Run> {
    Ok(Box::new(call))
}

/// The `F32` numbers of [−1, 1) in an order without pattern.
pub(crate) fn numbers<const N: usize>(shape: [usize; N]) -> Result<BitNetTensor> {
    let count = shape.iter().product::<usize>() as u32;
    let value = |i: u32| i.wrapping_mul(2_654_435_761) as i32 as f32 / 2f32.powi(31);
    BitNetTensor::from_vec((0..count).map(value).collect(), shape)
}
