//! A whole model on every adapter of this machine: the numbers of transformers, and what a token asks
//! of the device.

mod adapters;
#[path = "../../bitnet-llm/tests/golden/comparison.rs"]
mod comparison;

use bitnet_llm::model::LogitsOf;
use bitnet_llm::{HeadPrecision, Session};
use bitnet_tensor::backend::{AccelerationMetrics, Backend};
use bitnet_wgpu::WgpuBackend;

use adapters::each_device;
use comparison::{
    TestResult, assert_greedy_matches, assert_layers_match, assert_logits_match, mean_nll, packed,
    read_golden,
};

#[test]
fn layers_logits_and_greedy_tokens_match() {
    each_device(|backend| {
        let model = packed(HeadPrecision::Exact, backend.device());
        assert_layers_match(&model, "packed");
        assert_logits_match(&model, "packed").expect("the model runs");
        assert_greedy_matches(&model, "packed").expect("the model runs");
    });
}

#[test]
#[ignore = "minutes on a processor that stands in for a GPU: `.ci/full gpu` runs it"]
fn likelihoods_match() {
    each_device(|backend| {
        let expected = read_golden("packed").mean_nll;
        for head in [HeadPrecision::Exact, HeadPrecision::Int6] {
            let nll = mean_nll(&packed(head, backend.device())).expect("the model runs");
            println!("{} {head}: mean NLL {nll:.6}, golden {expected:.6}", backend.device());
            assert!((nll / expected - 1.0).abs() <= 0.003, "{head}: {nll} {expected}");
        }
    });
}

#[test]
fn a_token_makes_no_buffer_and_reads_back_once() {
    each_device(|backend| token_costs(backend).expect("the model runs"));
}

fn token_costs(backend: &WgpuBackend) -> TestResult {
    const TOKENS: u64 = 20;
    backend.release_cache()?;
    let before_model = backend.pool_stats();
    {
        let model = packed(HeadPrecision::Int6, backend.device());
        let mut session = Session::new(&model)?;
        session.read(&[1, 42, 77])?.to_vec::<f32>()?;
        for id in [50, 51, 52] {
            session.read(&[id])?.to_vec::<f32>()?;
        }
        let (pool, before) = (backend.pool_stats(), backend.counters());
        let metrics = AccelerationMetrics::snapshot();
        for id in 100..100 + TOKENS as u32 {
            session.forward(&[id], LogitsOf::Last)?.to_vec::<f32>()?;
        }
        let after = backend.counters();
        let each = |count: u64| count as f64 / TOKENS as f64;
        println!(
            "{}: {} dispatches, {} submissions, {} read-backs a token",
            backend.device(),
            each(after.dispatches - before.dispatches),
            each(after.submissions - before.submissions),
            each(after.read_backs - before.read_backs),
        );
        assert_eq!(backend.pool_stats().misses, pool.misses, "a buffer was made while decoding");
        assert_eq!(after.read_backs - before.read_backs, TOKENS);
        assert_eq!(AccelerationMetrics::snapshot().since(&metrics).fallbacks, 0);
    }
    backend.release_cache()?;
    let after_model = backend.pool_stats();
    assert_eq!(after_model.live_bytes, before_model.live_bytes);
    assert_eq!(after_model.cached_bytes, 0);
    Ok(())
}
