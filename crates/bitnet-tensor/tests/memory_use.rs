//! How well the pool fits a program of tensors: two hundred random steps, whose live tensors the
//! program adds up itself.
//!
//! `cargo test -p bitnet-tensor --test memory_use -- --nocapture` prints the figures.

use bitnet_tensor::memory::{HybridMemoryPool, MemoryStats, PoolConfig, with_pool};
use bitnet_tensor::{BitNetTensor, Result};

/// A small generator: the same program on every run.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % bound
    }

    /// A size of 1 to 1024, small ones as likely as large ones.
    fn size(&mut self) -> usize {
        let octave = 1 << self.below(11);
        (octave + self.below(octave)).min(1024)
    }
}

/// A program of random tensors.
struct Program {
    random: Lcg,
    held: Vec<BitNetTensor>,
    /// The bytes of the elements of all live tensors, at most so far.
    peak: usize,
}

impl Program {
    fn new(seed: u64) -> Self {
        Self { random: Lcg(seed), held: Vec::new(), peak: 0 }
    }

    fn live(&self) -> usize {
        self.held.iter().map(BitNetTensor::byte_size).sum()
    }

    /// Makes a tensor, of others or of nothing, and lets some go.
    fn step(&mut self) -> Result<()> {
        let made = match self.held.is_empty() {
            true => self.fresh()?,
            false => {
                let x = &self.held[self.random.below(self.held.len())];
                match self.random.below(8) {
                    0 => x.add(x)?,
                    1 => x.exp()?,
                    2 => x.sum(&[0], true)?,
                    3 => x.transpose(0, 1)?.copy()?,
                    4 if x.byte_size() < 2 << 20 => BitNetTensor::cat(&[x, x], 0)?,
                    5 => x.mul(0.5f32)?,
                    _ => self.fresh()?,
                }
            }
        };
        self.held.push(made);
        self.peak = self.peak.max(self.live());
        while self.held.len() > 12 + self.random.below(8) {
            let place = self.random.below(self.held.len());
            self.held.swap_remove(place);
        }
        Ok(())
    }

    fn fresh(&mut self) -> Result<BitNetTensor> {
        BitNetTensor::full([self.random.size(), self.random.size()], 1.0f32)
    }
}

fn requests(stats: &MemoryStats) -> u64 {
    stats.hits + stats.misses
}

/// The share of the requests since `warm` that the pool served from what it held.
fn served(warm: &MemoryStats, stats: &MemoryStats) -> f64 {
    (stats.hits - warm.hits) as f64 / (requests(stats) - requests(warm)) as f64
}

#[test]
fn a_random_program_is_served_from_the_pool() -> Result<()> {
    for seed in 1..=5 {
        let pool = HybridMemoryPool::new();
        let mut program = Program::new(seed);
        let stats = with_pool(&pool, || {
            // Until the program has as many tensors as it will have.
            (0..40).try_for_each(|_| program.step())?;
            let warm = pool.stats();
            (0..200).try_for_each(|_| program.step())?;
            let stats = pool.stats();
            let share = served(&warm, &stats);
            println!(
                "{:.2} % of {} requests served",
                100.0 * share,
                requests(&stats) - requests(&warm)
            );
            assert!(share >= 0.98, "{stats}");
            Ok::<_, bitnet_tensor::TensorOpError>(stats)
        })?;
        println!("{stats}\n");
        assert!(stats.overhead_bytes * 20 <= stats.reserved_bytes, "{stats}");
        assert!(stats.internal_fragmentation < 0.1, "{stats}");
        // Blocks are little more than the tensors in them.
        assert!(stats.peak_bytes <= program.peak + program.peak / 10, "{stats}");
        program.held.clear();
        assert_eq!((pool.stats().current_bytes, pool.stats().live_blocks), (0, 0));
    }
    Ok(())
}

/// What is reserved beyond the live tensors is what the configuration lets the pool keep.
#[test]
fn a_pool_reserves_what_is_live_and_what_it_may_keep() -> Result<()> {
    const MIB: usize = 1 << 20;
    for (seed, cache) in (1..=4).flat_map(|seed| [4, 8, 16].map(|mib| (seed, mib * MIB))) {
        let pool = HybridMemoryPool::with_config(PoolConfig::new().with_cache_bytes(cache));
        let mut program = Program::new(seed);
        with_pool(&pool, || (0..200).try_for_each(|_| program.step()))?;
        let stats = pool.stats();
        let expected = program.peak + cache;
        println!(
            "{} live and {cache} to keep at most: {} reserved at most, {:.0} % of that",
            program.peak,
            stats.peak_reserved_bytes,
            100.0 * stats.peak_reserved_bytes as f64 / expected as f64,
        );
        assert!(stats.peak_reserved_bytes <= expected + expected / 10, "{stats}");
    }
    Ok(())
}

#[test]
fn the_peak_of_one_thread_is_exact() -> Result<()> {
    let pool = HybridMemoryPool::new();
    // Small blocks that the thread has not told of when the large one comes.
    let small: Vec<_> = (0..10).map(|_| pool.allocate(1 << 10)).collect::<Result<_>>()?;
    drop(pool.allocate(1 << 20)?);
    assert_eq!(pool.stats().peak_bytes, (1 << 20) + (10 << 10));
    drop(small);
    pool.reset_peak();
    let large = pool.allocate(1 << 20)?;
    let small: Vec<_> = (0..10).map(|_| pool.allocate(1 << 10)).collect::<Result<_>>()?;
    drop(large);
    drop(pool.allocate(1 << 16)?);
    assert_eq!(pool.stats().peak_bytes, (1 << 20) + (10 << 10));
    let ((), bytes) = pool.measure(|| {
        drop(pool.allocate(1 << 10));
        drop(pool.allocate(1 << 20));
    });
    assert_eq!(bytes, 1 << 20);
    drop(small);
    Ok(())
}
