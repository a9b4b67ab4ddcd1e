//! The memory of a model that runs: how much of it the pool serves from what it holds, and what is
//! left when an allocation fails.
//!
//! `cargo test -p bitnet-llm --test memory -- --nocapture` prints the figures.

use std::path::Path;
use std::sync::Arc;

use bitnet_llm::generation::{GenerationOptions, Generator};
use bitnet_llm::sampler::SamplingParams;
use bitnet_llm::{LlmError, LoadOptions, Model, Session};
use bitnet_tensor::memory::{HybridMemoryPool, MemoryStats, with_pool};
use bitnet_tensor::{BitNetTensor, TensorOpError};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn stories() -> Result<Arc<Model>, LlmError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    Model::load(&path, &LoadOptions::default())
}

const PROMPT: [u32; 3] = [0, 1811, 797];

fn bits(logits: &BitNetTensor) -> Result<Vec<u32>, LlmError> {
    Ok(logits.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())
}

fn is_shortage(error: &LlmError) -> bool {
    matches!(error, LlmError::Tensor(TensorOpError::MemoryError(_)))
}

fn assert_nothing_is_in_use(pool: &HybridMemoryPool, after: &str) {
    let stats = pool.stats();
    let left = (stats.current_bytes, stats.live_blocks, stats.requested_bytes);
    assert_eq!(left, (0, 0, 0), "after {after}: {stats}");
}

/// The logits of a session of four tokens, whose memory is of `pool`.
fn short_session(model: &Arc<Model>, pool: &HybridMemoryPool) -> Result<Vec<u32>, LlmError> {
    with_pool(pool, || {
        let mut session = Session::with_capacity(model, 16)?;
        session.read(&PROMPT)?;
        bits(&session.read(&[261])?)
    })
}

/// The model's own memory is of the process's pool; what a session takes is of this test's.
#[test]
fn every_allocation_of_a_session_may_fail() -> TestResult {
    let model = stories()?;
    let pool = HybridMemoryPool::new();
    let run = || short_session(&model, &pool);
    let expected = run()?;
    let mut failures = 0;
    loop {
        pool.fail_allocation(Some(failures));
        let result = run();
        let spared = pool.failure_is_pending();
        pool.fail_allocation(None);
        assert_nothing_is_in_use(&pool, &format!("failure {failures}"));
        match result {
            Ok(logits) => {
                assert!(spared, "failure {failures} was hidden");
                assert_eq!(logits, expected);
                break;
            }
            Err(error) => assert!(is_shortage(&error), "{error:?}"),
        }
        // What is in the caches now comes from a run that was cut off.
        assert!(run()? == expected, "other logits after failure {failures}");
        failures += 1;
    }
    println!("{failures} allocations failed, each in a run of its own");
    assert!(failures > 30, "a session allocates: {failures}");
    Ok(())
}

/// A session goes on after a step that failed, as if there had been none.
#[test]
fn a_session_goes_on_after_each_failure() -> TestResult {
    // Passes of one token, and of several: those take new storage in the layers.
    let passes: [&[u32]; 4] = [&[261], &[262, 263, 264], &[265], &[266, 267]];
    goes_on_after_each_failure(&PROMPT, &passes)
}

/// Where the caches are full and grow, layer by layer, it goes on too, and what there was is as it
/// was.
#[test]
fn a_session_goes_on_after_each_failure_of_a_growing_cache() -> TestResult {
    let prompt: Vec<u32> = (0..255).map(|i| 3 + i * 7 % 4000).collect();
    goes_on_after_each_failure(&prompt, &[&[261, 262]])
}

fn goes_on_after_each_failure(prompt: &[u32], passes: &[&[u32]]) -> TestResult {
    let model = stories()?;
    let pool = HybridMemoryPool::new();
    with_pool(&pool, || -> TestResult {
        let capacity = prompt.len() + 300;
        let mut undisturbed = Session::with_capacity(&model, capacity)?;
        let mut session = Session::with_capacity(&model, capacity)?;
        undisturbed.read(prompt)?;
        session.read(prompt)?;
        for pass in passes {
            let before = bits(&session.read_again()?)?;
            let expected = bits(&undisturbed.read(pass)?)?;
            let length = session.tokens().len();
            let mut failures = 0;
            loop {
                session.truncate(length);
                let held = pool.stats().live_blocks;
                pool.fail_allocation(Some(failures));
                let result = session.read(pass);
                let spared = pool.failure_is_pending();
                pool.fail_allocation(None);
                match result {
                    Ok(logits) => {
                        assert!(spared, "failure {failures} was hidden");
                        assert!(bits(&logits)? == expected, "after failure {failures}");
                        break;
                    }
                    Err(error) => assert!(is_shortage(&error), "{error:?}"),
                }
                assert_eq!(session.tokens().len(), length, "nothing was read");
                assert!(pool.stats().live_blocks <= held, "a failed step keeps nothing");
                assert!(bits(&session.read_again()?)? == before, "after failure {failures}");
                failures += 1;
            }
            assert!(failures >= 4, "{failures}");
        }
        Ok(())
    })?;
    assert_nothing_is_in_use(&pool, "the sessions");
    Ok(())
}

fn requests(stats: &MemoryStats) -> u64 {
    stats.hits + stats.misses
}

#[test]
fn a_long_generation_is_served_from_the_pool() -> TestResult {
    const TOKENS: usize = 500;
    const WARM_UP: usize = 16;
    let model = stories()?;
    let prompt = model.tokenizer()?.encode("Once upon a time", Default::default())?;
    let options = GenerationOptions {
        sampling: SamplingParams::greedy(),
        max_tokens: Some(TOKENS),
        ignore_stop_tokens: true,
        ..GenerationOptions::default()
    };
    let pool = HybridMemoryPool::new();
    let (warm, stats, live) = with_pool(&pool, || {
        let mut session = Session::with_capacity(&model, prompt.len() + TOKENS)?;
        let mut generator = Generator::new(&mut session, &prompt, &options)?;
        let (mut warm, mut pieces, mut live) = (pool.stats(), 0, 0);
        while generator.next_piece()?.is_some() {
            pieces += 1;
            if pieces == WARM_UP {
                warm = pool.stats();
            }
            live = live.max(pool.stats().requested_bytes);
        }
        let generation = generator.finish();
        assert_eq!(generation.generated_ids.len(), TOKENS);
        Ok::<_, LlmError>((warm, pool.stats(), live))
    })?;
    let served = (stats.hits - warm.hits) as f64 / (requests(&stats) - requests(&warm)) as f64;
    println!(
        "after {WARM_UP} pieces: {:.3} % of {} requests served; live tensors {live} bytes, peak {}, \
         reserved {}, overhead {} ({:.2} %), internal fragmentation {:.2} %",
        100.0 * served,
        requests(&stats) - requests(&warm),
        stats.peak_bytes,
        stats.peak_reserved_bytes,
        stats.overhead_bytes,
        100.0 * stats.overhead_bytes as f64 / stats.reserved_bytes as f64,
        100.0 * stats.internal_fragmentation,
    );
    println!("{stats}");
    assert!(served >= 0.98, "{stats}");
    assert!(stats.overhead_bytes * 20 <= stats.reserved_bytes, "{stats}");
    assert!(stats.internal_fragmentation <= 0.1, "{stats}");
    assert!(stats.peak_bytes * 10 <= live * 11, "{live} bytes live: {stats}");
    // What `HybridMemoryPool` says that it reserves: a slab for each size of small blocks, and
    // regions of a quarter of what there is for requests of less than 1 MiB.
    let small = stats.size_classes.iter().filter(|class| class.block_bytes <= 32 << 10);
    let slabs: usize =
        small.map(|class| if class.block_bytes <= 4 << 10 { 64 << 10 } else { 256 << 10 }).sum();
    let expected = live + slabs + (live / 4).max(1 << 20);
    assert!(stats.peak_reserved_bytes * 10 <= expected * 11, "{live} bytes live: {stats}");
    assert_nothing_is_in_use(&pool, "the generation");
    Ok(())
}

/// Sessions on several threads share a model: the same logits, and nothing left.
#[test]
fn threads_share_a_model() -> TestResult {
    const fn is_shared_freely<T: Send + Sync>() {}
    const fn is_moved_freely<T: Send>() {}
    const { is_shared_freely::<Model>() };
    const { is_moved_freely::<Session>() };

    let model = stories()?;
    let pool = HybridMemoryPool::new();
    let run = || short_session(&model, &pool);
    let expected = run()?;
    std::thread::scope(|scope| -> TestResult {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..3).map(|_| run()).collect::<Vec<_>>())).collect();
        for thread in threads {
            for logits in thread.join().expect("no panic") {
                assert!(logits? == expected);
            }
        }
        Ok(())
    })?;
    assert_nothing_is_in_use(&pool, "the threads");
    Ok(())
}
