//! The library against the operator cases of the ONNX standard, as the package `onnx` computes them.
//!
//! Each family maps the standard's operators to the library's by renaming and composing public
//! operations; nothing here computes with elements on its own. What the library does not set out to
//! do is listed with its reason. Every operator is in exactly one of the two lists, and every case
//! whose operator has an adapter has to agree.
//!
//! The cases are made by a script (see [`HOW`]) and not kept: without them there is nothing to test,
//! and the test says so.

mod activation;
mod attention;
mod choice;
mod convolution;
mod creation;
mod elementwise;
mod linalg;
mod loss;
mod normalization;
mod out_of_scope;
mod quantization;
mod reader;
mod reduction;
mod shapes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bitnet_tensor::{BitNetDType, BitNetTensor, TensorOpError};
use bitnet_testkit::Tolerance;
use bitnet_testkit::compare::compare;

use out_of_scope::OUT_OF_SCOPE;
use reader::{Case, Slot};

/// How the cases are made.
const HOW: &str = "pip install onnx==1.23.2 numpy==2.4.6 ml_dtypes==0.6.0\n  python crates/bitnet-testkit/scripts/onnx_cases.py";

/// How many cases agree, at least: raised with every operation that the library learns.
const FLOOR: usize = 1080;

/// The results of an operator, in the order of the node.
type Outcome = Result<Vec<BitNetTensor>, Miss>;
/// An operator of the standard in terms of the library.
type Adapter = fn(&Case) -> Outcome;
/// Operators and their adapters.
type Adapters = &'static [(&'static str, Adapter)];

/// One list per file.
const FAMILIES: [Adapters; 12] = [
    activation::ADAPTERS,
    attention::ADAPTERS,
    choice::ADAPTERS,
    convolution::ADAPTERS,
    creation::ADAPTERS,
    elementwise::ADAPTERS,
    linalg::ADAPTERS,
    loss::ADAPTERS,
    normalization::ADAPTERS,
    quantization::ADAPTERS,
    reduction::ADAPTERS,
    shapes::ADAPTERS,
];

/// Why a case has no results.
#[derive(Debug)]
enum Miss {
    /// The library refuses it.
    Refused(TensorOpError),
    /// It asks for what the library does not set out to do.
    OutOfScope(&'static str),
}

impl From<TensorOpError> for Miss {
    fn from(error: TensorOpError) -> Self {
        Self::Refused(error)
    }
}

/// The outcome of an operator with one result.
fn one(result: Result<BitNetTensor, TensorOpError>) -> Outcome {
    Ok(vec![result?])
}

/// What came of a case.
enum Verdict {
    Passed,
    Failed(String),
    OutOfScope(String),
}

fn adapter(operator: &str) -> Option<Adapter> {
    let mut all = FAMILIES.iter().flat_map(|adapters| adapters.iter());
    all.find(|(name, _)| *name == operator).map(|&(_, adapter)| adapter)
}

fn reason(operator: &str) -> Option<&'static str> {
    OUT_OF_SCOPE.iter().find(|(_, names)| names.contains(&operator)).map(|&(reason, _)| reason)
}

fn judge(case: &Case) -> Verdict {
    if let Some(kind) = case.absent() {
        return Verdict::OutOfScope(format!("the library has no {kind}"));
    }
    let Some(adapter) = adapter(&case.operator) else {
        return Verdict::OutOfScope(reason(&case.operator).unwrap_or("unknown operator").into());
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| adapter(case)));
    match outcome {
        Err(_) => Verdict::Failed("panics".into()),
        Ok(Err(Miss::OutOfScope(reason))) => Verdict::OutOfScope(reason.into()),
        Ok(Err(Miss::Refused(error))) => Verdict::Failed(error.to_string()),
        Ok(Ok(results)) => match agree(case, &results) {
            Ok(()) => Verdict::Passed,
            Err(difference) => Verdict::Failed(difference),
        },
    }
}

fn agree(case: &Case, results: &[BitNetTensor]) -> Result<(), String> {
    if results.len() < case.outputs.len() {
        return Err(format!("{} results, want {}", results.len(), case.outputs.len()));
    }
    for (n, (got, want)) in results.iter().zip(&case.outputs).enumerate() {
        // A result that the node does not name is not compared.
        let Slot::Tensor(want) = want else { continue };
        let tolerance = match want.dtype() {
            // As the standard's own runner allows for bf16: its evaluator rounds every step.
            BitNetDType::F16 | BitNetDType::BF16 => Tolerance { ulps: 2.0, ..case.tolerance },
            dtype if dtype.is_float() => case.tolerance,
            _ => Tolerance::EXACT,
        };
        compare(got, want, tolerance).map_err(|difference| format!("result {n}: {difference}"))?;
    }
    Ok(())
}

#[test]
fn operators_agree_with_the_standard() {
    let Some(cases) = reader::cases() else {
        println!("skipped: there are no cases in target/onnx-cases; make them with\n  {HOW}");
        return;
    };
    let (mut passed, mut failures) = (0, Vec::new());
    let mut left_out: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for case in &cases {
        match judge(case) {
            Verdict::Passed => passed += 1,
            Verdict::Failed(why) => {
                failures.push(format!("{} ({}): {why}", case.name, case.operator))
            }
            Verdict::OutOfScope(reason) => {
                *left_out.entry(reason).or_default().entry(&case.operator).or_default() += 1;
            }
        }
    }
    let run = passed + failures.len();
    println!(
        "{} cases: {run} run, {passed} agree, {} out of scope",
        cases.len(),
        cases.len() - run
    );
    for (reason, operators) in &left_out {
        let count: usize = operators.values().sum();
        let list: Vec<String> =
            operators.iter().map(|(operator, count)| format!("{operator} {count}")).collect();
        println!("{count:5} {reason}: {}", list.join(", "));
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    assert!(passed >= FLOOR, "{passed} agree, {FLOOR} did");
}

#[test]
fn every_operator_has_an_adapter_or_a_reason() {
    let mapped = FAMILIES.iter().flat_map(|adapters| adapters.iter().map(|&(name, _)| name));
    let reasoned = OUT_OF_SCOPE.iter().flat_map(|(_, names)| names.iter().copied());
    let mut known = BTreeMap::new();
    for name in mapped.chain(reasoned) {
        *known.entry(name).or_insert(0) += 1;
    }
    let twice: Vec<_> = known.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "listed twice: {twice:?}");
    let Some(cases) = reader::cases() else { return };
    let unknown: Vec<_> =
        cases.iter().map(|case| &*case.operator).filter(|name| !known.contains_key(name)).collect();
    assert!(unknown.is_empty(), "neither mapped nor left out: {unknown:?}");
    let stale: Vec<_> =
        known.keys().filter(|name| !cases.iter().any(|case| case.operator == **name)).collect();
    assert!(stale.is_empty(), "no cases: {stale:?}");
}
