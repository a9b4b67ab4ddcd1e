//! How fast the processor reads memory: the limit of decoding, which reads every weight once per
//! token and computes little with it.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bitnet_kernels::parallel;

/// Bytes that one piece of work reads: large against the cost of handing it out.
const PIECE_BYTES: usize = 1 << 20;

const WORDS_PER_PIECE: usize = PIECE_BYTES / size_of::<u64>();

/// Bytes per second that all threads together read from a buffer of `buffer_bytes`, which should
/// be far larger than the caches: the best of `passes` passes.
pub(super) fn measure(buffer_bytes: usize, passes: usize) -> f64 {
    let words = (buffer_bytes / PIECE_BYTES).max(1) * WORDS_PER_PIECE;
    let mut buffer = vec![0u64; words];
    // Zeroed memory is not there until it is written: each page for itself, by any thread.
    parallel::for_each_chunk_mut(&mut buffer, WORDS_PER_PIECE, |index, piece| {
        piece.fill(index as u64)
    });
    let seconds = (0..passes.max(1)).map(|_| {
        let started = Instant::now();
        let total = AtomicU64::new(0);
        parallel::for_each(words, WORDS_PER_PIECE, |range| {
            total.fetch_add(sum(&buffer[range]), Ordering::Relaxed);
        });
        black_box(total.into_inner());
        started.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    (words * size_of::<u64>()) as f64 / best.max(1e-9)
}

/// Independent sums, so that no addition waits for the one before.
fn sum(words: &[u64]) -> u64 {
    let mut lanes = [0u64; 16];
    let (chunks, rest) = words.as_chunks::<16>();
    for chunk in chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes.iter().chain(rest).fold(0, |sum, word| sum.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        let words: Vec<u64> = (0..1003).collect();
        assert_eq!(sum(&words), 1002 * 1003 / 2);
    }

    #[test]
    fn a_rate_comes_out() {
        let rate = measure(4 << 20, 2);
        assert!(rate.is_finite() && rate > 0.0);
    }
}
