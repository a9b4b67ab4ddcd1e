//! The cases of every backend, on every adapter of this machine; and every kernel that they compile,
//! translated for the platforms that are not here.

mod adapters;
mod translation;

use bitnet_tensor::backend::Backend;
use bitnet_testkit::conformance::{Family, run_family};
use bitnet_testkit::failing_writes::assert_nothing_is_written;

use adapters::each_device;

fn family(family: Family) {
    each_device(|backend| {
        let device = backend.device();
        let report = run_family(family, device);
        println!("{device} {family:?}: {} cases, {} fallbacks", report.cases, report.fallbacks);
        println!("{} kernels translated", translation::translate_all(backend.kernel_sources()));
    });
}

#[test]
fn elementwise() {
    family(Family::Elementwise);
}

#[test]
fn movement() {
    family(Family::Movement);
}

#[test]
fn reduction() {
    family(Family::Reduction);
}

#[test]
fn linalg() {
    family(Family::Linalg);
}

#[test]
fn neural() {
    family(Family::Neural);
}

#[test]
fn quantization() {
    family(Family::Quantization);
}

#[test]
fn nothing_is_written_by_what_fails() {
    each_device(|backend| assert_nothing_is_written(backend.device()));
}
