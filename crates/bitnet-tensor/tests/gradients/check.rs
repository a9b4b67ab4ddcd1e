//! Gradients against central differences.
//!
//! The scalar whose gradient is taken is `Σ w · f64(y)` with random `w`: summed in `f64`, so that
//! the differences are good even where the operation itself is of `f32`.

use bitnet_tensor::BitNetDType::F64;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Random;

pub(crate) type Function<'a> = dyn Fn(&[BitNetTensor]) -> Result<BitNetTensor> + 'a;

fn scalar_of(function: &Function<'_>, inputs: &[BitNetTensor]) -> Result<BitNetTensor> {
    let y = function(inputs)?.to_dtype(F64)?;
    let weights = Random::new(99).tensor(F64, y.shape())?;
    y.mul(&weights)?.sum(&[], false)
}

/// Compares the gradients of every input with `(f(x + h) − f(x − h)) / 2h` for each element.
pub(crate) fn check(name: &str, inputs: &[BitNetTensor], function: &Function<'_>) -> Result<()> {
    let variables: Vec<BitNetTensor> = inputs.iter().map(BitNetTensor::with_grad).collect();
    let gradients = scalar_of(function, &variables)?.backward()?;
    for (n, variable) in variables.iter().enumerate() {
        let gradient =
            gradients.get(variable).unwrap_or_else(|| panic!("{name}: input {n} has no gradient"));
        assert_eq!(
            (gradient.dtype(), gradient.shape()),
            (variable.dtype(), variable.shape()),
            "{name}: input {n}"
        );
        let gradient = gradient.to_dtype(F64)?.to_vec::<f64>()?;
        for (at, &got) in gradient.iter().enumerate() {
            let want = difference(function, inputs, n, at)?;
            // The step of f32 is coarse: errors of its square and of rounding over it.
            let tolerance = if inputs[n].dtype() == F64 { 1e-8 } else { 3e-3 };
            assert!(
                (got - want).abs() <= tolerance * want.abs().max(1.0),
                "{name}: input {n}, element {at}: {got}, by differences {want}"
            );
        }
    }
    Ok(())
}

fn difference(
    function: &Function<'_>,
    inputs: &[BitNetTensor],
    n: usize,
    at: usize,
) -> Result<f64> {
    let step = if inputs[n].dtype() == F64 { 1e-5 } else { f64::from(0.0078125f32) };
    let moved = |by: f64| {
        let mut inputs = inputs.to_vec();
        inputs[n] = inputs[n].copy()?;
        match inputs[n].dtype() {
            F64 => inputs[n].try_mut::<f64>()?[at] += by,
            _ => inputs[n].try_mut::<f32>()?[at] += by as f32,
        }
        scalar_of(function, &inputs)?.item::<f64>()
    };
    Ok((moved(step)? - moved(-step)?) / (2.0 * step))
}

/// Numbers of (0.5, 1.5): away from where roots, logarithms and quotients are steep.
pub(crate) fn positive(
    random: &mut Random,
    dtype: BitNetDType,
    shape: &[usize],
) -> Result<BitNetTensor> {
    let half = BitNetTensor::scalar(0.5f32)?.to_dtype(dtype)?;
    let one = BitNetTensor::scalar(1.0f32)?.to_dtype(dtype)?;
    random.tensor(dtype, shape)?.mul(&half)?.add(&one)
}
