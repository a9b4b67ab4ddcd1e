//! The mode that finds where NaN and infinity come from: an operation that makes one of finite
//! operands is an error.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use half::{bf16, f16};

use super::{FailureKind, metrics};
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor, Element};

static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Reading operands may take operations of its own.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// Turns on or off the check of every operation of the process: the first NaN or infinity that comes
/// from finite operands is a `NumericalError` with the operation's name, its operands and the element.
/// What moves or masks with infinities is not reported: they were there before. It reads results
/// back and reuses no storage, so it slows execution.
///
/// ```
/// use bitnet_tensor::{BitNetTensor, backend::set_finite_check};
/// set_finite_check(true);
/// let error = BitNetTensor::try_from(vec![1.0f32, 0.0])?.log().unwrap_err();
/// set_finite_check(false);
/// assert_eq!(error.to_string(), "log(f32[2]): element 1 of the result is -inf");
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
pub fn set_finite_check(on: bool) {
    ON.store(on, Relaxed);
}

#[inline]
pub(super) fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Looks at the results of an operation when the check is on.
#[inline]
pub(super) fn run(
    name: &'static str,
    inputs: &[&BitNetTensor],
    outputs: &[BitNetTensor],
) -> Result<()> {
    if !is_on() || LOOKING.get() {
        return Ok(());
    }
    LOOKING.set(true);
    let checked = check(name, inputs, outputs);
    LOOKING.set(false);
    checked
}

#[cold]
fn check(name: &'static str, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Result<()> {
    for (n, output) in outputs.iter().enumerate() {
        let Some((place, value)) = first_not_finite(output)? else { continue };
        for input in inputs {
            if first_not_finite(input)?.is_some() {
                return Ok(());
            }
        }
        metrics::record_failure(FailureKind::Numerical);
        let result = if outputs.len() == 1 { "the result".into() } else { format!("result {n}") };
        bail!(NumericalError, name, inputs, "element {place} of {result} is {value}");
    }
    Ok(())
}

/// The first element in row-major order that is NaN or infinite.
fn first_not_finite(x: &BitNetTensor) -> Result<Option<(usize, f64)>> {
    fn find<T: Element + Copy>(
        x: &BitNetTensor,
        wide: impl Fn(T) -> f64,
    ) -> Result<Option<(usize, f64)>> {
        let values = x.to_vec::<T>()?;
        let mut values = values.into_iter().map(wide).enumerate();
        Ok(values.find(|(_, value)| !value.is_finite()))
    }
    match x.dtype() {
        BitNetDType::F16 => find(x, f16::to_f64),
        BitNetDType::BF16 => find(x, bf16::to_f64),
        BitNetDType::F32 => find(x, |x: f32| f64::from(x)),
        BitNetDType::F64 => find(x, |x: f64| x),
        _ => Ok(None),
    }
}
