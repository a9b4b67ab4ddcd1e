//! A whole model on every adapter of this machine: the numbers of transformers, and what a token asks
//! of the device.

#[path = "../../bitnet-llm/tests/golden/comparison.rs"]
mod comparison;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bitnet_llm::model::LogitsOf;
use bitnet_llm::{HeadPrecision, Session};
use bitnet_tensor::backend::{AccelerationMetrics, Backend};
use bitnet_wgpu::WgpuBackend;

use comparison::{
    TestResult, assert_greedy_matches, assert_layers_match, assert_logits_match, mean_nll, packed,
    read_golden,
};

/// One test at a time: what is counted is counted for the process.
fn each_device(test: impl Fn(&WgpuBackend) -> TestResult) -> TestResult {
    static BACKENDS: OnceLock<Vec<Arc<WgpuBackend>>> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let backends = BACKENDS.get_or_init(|| bitnet_wgpu::backends().expect("registered"));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(!backends.is_empty(), "there is no adapter: install a Vulkan driver");
    backends.iter().try_for_each(|backend| test(backend))
}

#[test]
fn layers_logits_and_greedy_tokens_match() -> TestResult {
    each_device(|backend| {
        let model = packed(HeadPrecision::Exact, backend.device());
        assert_layers_match(&model, "packed");
        assert_logits_match(&model, "packed")?;
        assert_greedy_matches(&model, "packed")
    })
}

#[test]
fn likelihoods_match() -> TestResult {
    each_device(|backend| {
        let expected = read_golden("packed").mean_nll;
        for head in [HeadPrecision::Exact, HeadPrecision::Int6] {
            let nll = mean_nll(&packed(head, backend.device()))?;
            println!("{} {head}: mean NLL {nll:.6}, golden {expected:.6}", backend.device());
            assert!((nll / expected - 1.0).abs() <= 0.003, "{head}: {nll} {expected}");
        }
        Ok(())
    })
}

#[test]
fn a_token_makes_no_buffer_and_reads_back_once() -> TestResult {
    each_device(|backend| {
        backend.release_cache()?;
        let before_model = backend.pool_stats();
        {
            let model = packed(HeadPrecision::Int6, backend.device());
            let mut session = Session::new(&model)?;
            session.read(&[1, 42, 77])?.to_vec::<f32>()?;
            for id in [50, 51, 52] {
                session.read(&[id])?.to_vec::<f32>()?;
            }
            let (pool, counters) = (backend.pool_stats(), backend.counters());
            let metrics = AccelerationMetrics::snapshot();
            const TOKENS: u64 = 20;
            for id in 100..100 + TOKENS as u32 {
                session.forward(&[id], LogitsOf::Last)?.to_vec::<f32>()?;
            }
            let (after, spent) = (backend.counters(), backend.pool_stats());
            let fallbacks = AccelerationMetrics::snapshot().since(&metrics).fallbacks;
            println!(
                "{}: {} dispatches, {} submissions, {} read-backs a token",
                backend.device(),
                (after.dispatches - counters.dispatches) as f64 / TOKENS as f64,
                (after.submissions - counters.submissions) as f64 / TOKENS as f64,
                (after.read_backs - counters.read_backs) as f64 / TOKENS as f64,
            );
            assert_eq!(spent.misses, pool.misses, "a buffer was made while decoding");
            assert_eq!(after.read_backs - counters.read_backs, TOKENS);
            assert_eq!(fallbacks, 0);
        }
        backend.release_cache()?;
        let after_model = backend.pool_stats();
        assert_eq!(after_model.live_bytes, before_model.live_bytes);
        assert_eq!(after_model.cached_bytes, 0);
        Ok(())
    })
}
