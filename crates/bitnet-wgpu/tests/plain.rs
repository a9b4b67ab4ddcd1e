//! The kernels of adapters without subgroups, whose threads find sums by way of shared memory: every
//! adapter can run them, few would without being asked. A process of its own: a device is registered once.

mod adapters;
mod chains;
#[path = "../../bitnet-llm/tests/golden/comparison.rs"]
#[allow(dead_code, reason = "other tests compare more")]
mod comparison;
mod translation;

use bitnet_llm::HeadPrecision;
use bitnet_tensor::backend::Backend;
use bitnet_testkit::conformance::{Family, run_named};

use adapters::each_plain_device;
use comparison::{assert_layers_match, assert_logits_match, packed};

/// Cases of kernels whose threads find something out together.
const TOGETHER: [&str; 6] =
    ["softmax", "norm", "attention", "linear", "quantize_activation", "packed"];

#[test]
fn cases_of_rows_agree() {
    each_plain_device(|backend| {
        let families = [Family::Reduction, Family::Linalg, Family::Neural, Family::Quantization];
        let together = |name: &str| TOGETHER.iter().any(|part| name.contains(part));
        let cases: usize =
            families.map(|family| run_named(family, backend.device(), together).cases).iter().sum();
        println!("{}: {cases} cases", backend.device());
        assert!(cases > 100, "{cases}: cases have other names");
        let sources = backend.kernel_sources();
        assert!(sources.iter().all(|source| !source.contains("subgroupAdd")));
        translation::translate_all(sources);
    });
}

#[test]
fn chains_agree() {
    each_plain_device(|backend| {
        chains::rows_and_products(backend);
        chains::heads(backend);
        chains::other_chains(backend);
        translation::translate_all(backend.kernel_sources());
    });
}

#[test]
fn layers_and_logits_match() {
    each_plain_device(|backend| {
        let model = packed(HeadPrecision::Int6, backend.device());
        assert_layers_match(&model, "packed");
        assert_logits_match(&model, "packed").expect("the model runs");
    });
}
