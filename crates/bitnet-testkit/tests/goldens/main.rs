//! The reference and the CPU against numbers that NumPy, PyTorch, SciPy and the evaluator of the
//! ONNX standard made (see `scripts/goldens`). All other backends are compared with the reference.
//!
//! One module per family: it names the file and maps each operation of it to the library's.

mod case;
mod conversion;
mod creation;
mod display;
mod elementwise;
mod indexing;
mod layers;
mod linalg;
mod movement;
mod neural;
mod quantization;
mod reduction;

use bitnet_tensor::reference::ReferenceBackend;
use bitnet_tensor::{BitNetTensor, Device, Result};
use bitnet_testkit::Tolerance;
use bitnet_testkit::compare::compare;
use bitnet_testkit::conformance::register_reference;
use bitnet_testkit::random::layouts;
use serde_json::Value;

use case::Case;

/// The results of a case's operation.
type Evaluate = fn(&Case<'_>, &[BitNetTensor]) -> Result<Vec<BitNetTensor>>;
/// How close a result of this case and type has to be.
type ToleranceOf = fn(&Case<'_>, bitnet_tensor::BitNetDType) -> Tolerance;

const REFERENCE: &str = "reference";

/// Runs the cases of a file on the reference and on the CPU, on the CPU in every layout of the
/// operands.
fn family(text: &str, evaluate: Evaluate, tolerance: ToleranceOf) {
    register_reference();
    let Value::Array(cases) = serde_json::from_str(text).expect("valid JSON") else {
        panic!("not a list")
    };
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let case = Case(case);
        let (inputs, expected) = (case.tensors("inputs"), case.tensors("outputs"));
        let mut placed = placed(&inputs).expect("the operands can be placed");
        if case.has("beyond_f64") {
            // Integers that the reference does not hold.
            placed.retain(|(place, _)| place != REFERENCE);
        }
        for (place, inputs) in placed {
            let outcome = evaluate(&case, &inputs).map_err(|error| error.to_string());
            let outcome = outcome.and_then(|results| {
                if results.len() != expected.len() {
                    return Err(format!("{} results, want {}", results.len(), expected.len()));
                }
                let mut pairs = results.iter().zip(&expected);
                pairs.try_for_each(|(got, want)| compare(got, want, tolerance(&case, want.dtype())))
            });
            if let Err(reason) = outcome {
                let shapes: Vec<String> = inputs.iter().map(|x| format!("{x:?}")).collect();
                failures.push(format!("case {n}, {} of {shapes:?}, {place}: {reason}", case.op()));
            }
        }
    }
    let shown: Vec<&String> = failures.iter().take(20).collect();
    assert!(failures.is_empty(), "{} failures: {shown:#?}", failures.len());
}

/// The operands on the reference, and on the CPU in several layouts.
fn placed(inputs: &[BitNetTensor]) -> Result<Vec<(String, Vec<BitNetTensor>)>> {
    let on_reference: Result<Vec<_>> =
        inputs.iter().map(|x| x.to_device(ReferenceBackend::DEVICE)).collect();
    let mut all = vec![(REFERENCE.to_string(), on_reference?)];
    let variants: Vec<Vec<(&str, BitNetTensor)>> =
        inputs.iter().map(layouts).collect::<Result<_>>()?;
    let most = variants.iter().map(Vec::len).max().unwrap_or(1);
    for n in 0..most {
        // An operand with fewer layouts (a scalar, an empty tensor) stays in its last one.
        let chosen = variants.iter().map(|v| &v[n.min(v.len() - 1)]);
        let names: Vec<&str> = chosen.clone().map(|(name, _)| *name).collect();
        all.push((format!("{} {names:?}", Device::CPU), chosen.map(|(_, x)| x.clone()).collect()));
    }
    Ok(all)
}
