//! One list of cases for every backend.
//!
//! A case is a set of operands on the CPU and a computation with public methods. It is run with
//! the operands on the device and on the reference, and the results are compared by the case's
//! tolerances (see [`Tolerance`]). A new operation gets its cases here, and all backends are
//! tested with them.

mod elementwise;
mod linalg;
mod movement;
mod neural;
mod quantization;
mod reduction;

pub use elementwise::{BINARY, BinaryMethod, COMPARISONS, OwnedMethod, UNARY, UnaryMethod};

use std::fmt;
use std::sync::{Arc, Once};

use bitnet_tensor::backend::{AccelerationMetrics, registry};
use bitnet_tensor::reference::ReferenceBackend;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, QuantizedActivation, Result};

use crate::Tolerance;
use crate::compare::{Subnormals, compare, compare_with};

/// The cases of a family, by the file that lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Functions of one and two elements, in place and not.
    Elementwise,
    /// Casts, copies, views, joining, choosing and writing rows.
    Movement,
    /// Reductions, softmax and normalisation.
    Reduction,
    /// Dense and quantized products.
    Linalg,
    /// Rotary embedding and attention.
    Neural,
    /// Fewer bits per element.
    Quantization,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Elementwise,
        Self::Movement,
        Self::Reduction,
        Self::Linalg,
        Self::Neural,
        Self::Quantization,
    ];
}

type Computation = dyn Fn(&[BitNetTensor]) -> Result<Vec<BitNetTensor>>;

/// Operands, a computation, and how close its results have to be.
pub struct Case {
    name: String,
    operands: Vec<BitNetTensor>,
    computation: Box<Computation>,
    /// One per result; the last counts for the rest.
    tolerances: Vec<Tolerance>,
    /// The second half of the results must be the first half bit for bit, on the device.
    halves_are_equal: bool,
    /// Whether tiers of one processor may differ in the last bits.
    tiers_may_differ: bool,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Case {
    fn new(
        name: impl Into<String>,
        tolerance: Tolerance,
        operands: Vec<BitNetTensor>,
        computation: impl Fn(&[BitNetTensor]) -> Result<Vec<BitNetTensor>> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            operands,
            computation: Box::new(computation),
            tolerances: vec![tolerance],
            halves_are_equal: false,
            tiers_may_differ: false,
        }
    }

    fn with_tolerances(mut self, tolerances: &[Tolerance]) -> Self {
        self.tolerances = tolerances.to_vec();
        self
    }

    fn with_equal_halves(mut self) -> Self {
        self.halves_are_equal = true;
        self
    }

    fn with_tiers_that_may_differ(mut self) -> Self {
        self.tiers_may_differ = true;
        self
    }

    /// What is computed, of what.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, device: Device, subnormals: Subnormals) -> Result<Vec<BitNetTensor>, String> {
        let operand = |x: &BitNetTensor| match subnormals {
            Subnormals::MayBeZero => without_subnormals(x)?.to_device(device),
            Subnormals::Kept => x.to_device(device),
        };
        let operands: Result<Vec<_>> = self.operands.iter().map(operand).collect();
        operands
            .and_then(|operands| (self.computation)(&operands))
            .map_err(|error| error.to_string())
    }

    /// Runs the case on `device` and compares with the reference.
    fn check(&self, device: Device, subnormals: Subnormals) -> Result<(), String> {
        let results = self.run(device, subnormals)?;
        let expected = self
            .run(ReferenceBackend::DEVICE, subnormals)
            .map_err(|error| format!("reference: {error}"))?;
        if results.len() != expected.len() {
            return Err(format!("{} results, want {}", results.len(), expected.len()));
        }
        for (n, (got, want)) in results.iter().zip(&expected).enumerate() {
            let tolerance = self
                .tolerances
                .get(n)
                .or(self.tolerances.last())
                .copied()
                .unwrap_or(Tolerance::EXACT);
            compare_with(got, want, tolerance, subnormals)
                .map_err(|difference| format!("result {n}: {difference}"))?;
        }
        if self.halves_are_equal {
            let (first, second) = results.split_at(results.len() / 2);
            for (n, (a, b)) in first.iter().zip(second).enumerate() {
                compare(b, a, Tolerance::EXACT)
                    .map_err(|difference| format!("two ways to result {n} differ: {difference}"))?;
            }
        }
        Ok(())
    }
}

/// What a run of the suite did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Cases that were compared.
    pub cases: usize,
    /// Operations that another device executed. Counted for the process: run nothing beside.
    pub fallbacks: u64,
}

/// The cases of `family`.
///
/// # Errors
/// When operands cannot be made.
pub fn cases(family: Family) -> Result<Vec<Case>> {
    match family {
        Family::Elementwise => elementwise::cases(),
        Family::Movement => movement::cases(),
        Family::Reduction => reduction::cases(),
        Family::Linalg => linalg::cases(),
        Family::Neural => neural::cases(),
        Family::Quantization => quantization::cases(),
    }
}

/// Runs every family on `device`, whose backend is registered.
///
/// # Panics
/// With a list of the cases that differ from the reference.
pub fn run(device: Device) -> Report {
    let mut report = Report { cases: 0, fallbacks: 0 };
    for family in Family::ALL {
        let part = run_family(family, device);
        report.cases += part.cases;
        report.fallbacks += part.fallbacks;
    }
    report
}

/// Runs `family` on `device`, whose backend is registered.
///
/// # Panics
/// With a list of the cases that differ from the reference.
pub fn run_family(family: Family, device: Device) -> Report {
    run_named(family, device, |_| true)
}

/// Runs those cases of `family` whose name is `wanted`.
///
/// # Panics
/// As [`run_family`].
pub fn run_named(family: Family, device: Device, wanted: impl Fn(&str) -> bool) -> Report {
    register_reference();
    let mut cases = cases(family).expect("the operands of the cases can be made");
    cases.retain(|case| wanted(case.name()));
    let subnormals = subnormals(device).expect("a product of two numbers");
    let before = AccelerationMetrics::snapshot();
    let failures = cases.iter().filter_map(|case| {
        case.check(device, subnormals).err().map(|reason| format!("{}: {reason}", case.name))
    });
    let failures: Vec<String> = failures.collect();
    let spent = AccelerationMetrics::snapshot().since(&before);
    report_failures(&format!("{family:?} on {device}"), cases.len(), &failures);
    Report { cases: cases.len(), fallbacks: spent.fallbacks }
}

/// What the device does with numbers below the normal ones: found out by multiplying one.
fn subnormals(device: Device) -> Result<Subnormals> {
    let small = BitNetTensor::from_vec(vec![1e-40f32], [1])?.to_device(device)?;
    let one = BitNetTensor::from_vec(vec![1.0f32], [1])?.to_device(device)?;
    let kept = small.mul(&one)?.to_vec::<f32>()? == [1e-40];
    Ok(if kept { Subnormals::Kept } else { Subnormals::MayBeZero })
}

/// The same numbers with zeros, of the same sign, for those that a device may take for zeros.
fn without_subnormals(x: &BitNetTensor) -> Result<BitNetTensor> {
    if !matches!(x.dtype(), BitNetDType::F32 | BitNetDType::BF16) || !x.is_contiguous() {
        return Ok(x.clone());
    }
    let smallest = f64::from(f32::MIN_POSITIVE);
    let is_subnormal = x.abs()?.lt(smallest)?;
    is_subnormal.where_(&x.mul(0.0)?, x)
}

/// Compares the results of the tiers of one processor, `devices`, bit for bit: what is not a
/// dense `matmul` is the same on all of them. Returns how many cases were compared.
///
/// # Panics
/// With a list of the cases that differ from the first device.
pub fn run_tiers(family: Family, devices: &[Device]) -> usize {
    let Some((first, others)) = devices.split_first() else { return 0 };
    let mut cases = cases(family).expect("the operands of the cases can be made");
    cases.retain(|case| !case.tiers_may_differ);
    let mut failures = Vec::new();
    for case in &cases {
        for &device in others {
            if let Err(reason) = compare_tiers(case, *first, device) {
                failures.push(format!("{}: {device} differs from {first}: {reason}", case.name));
            }
        }
    }
    report_failures(&format!("{family:?} across tiers"), cases.len(), &failures);
    cases.len()
}

fn compare_tiers(case: &Case, first: Device, device: Device) -> Result<(), String> {
    for (a, b) in
        case.run(first, Subnormals::Kept)?.iter().zip(&case.run(device, Subnormals::Kept)?)
    {
        compare(b, a, Tolerance::EXACT)?;
    }
    Ok(())
}

fn report_failures(what: &str, cases: usize, failures: &[String]) {
    let shown =
        failures.iter().take(20).map(|failure| format!("\n  {failure}")).collect::<String>();
    assert!(failures.is_empty(), "{what}: {} of {cases} cases failed:{shown}", failures.len());
}

/// Registers the reference backend once.
pub fn register_reference() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        registry::register(Arc::new(ReferenceBackend::new()))
            .expect("the reference is not the CPU");
    });
}

/// The parts of a quantized activation as results.
fn parts(quantized: &QuantizedActivation) -> Vec<BitNetTensor> {
    vec![quantized.codes().clone(), quantized.scales().clone(), quantized.sums().clone()]
}
