//! What the processor computes at most: loops over registers and the first-level cache that do
//! nothing else. The rates of real work are compared with them.
//!
//! These are measurements, and the one place with a fused multiply-add: it is what a processor's peak
//! is counted in, and nothing here becomes a result.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::dispatch::{Cpu, Isa};
use crate::parallel;
#[cfg(target_arch = "x86_64")]
use crate::simd::amx::{self, Tiles};
use crate::simd::{Kernel, Simd};

/// For how long a rate is measured, in rounds of which the fastest counts.
const DURATION: Duration = Duration::from_millis(60);

/// Pieces of work for each thread and round, so that none waits long for another.
const PIECES_PER_THREAD: usize = 4;

/// Multiplications and additions of `f32` per second that all threads together reach, fused where the
/// processor has it: what its manufacturer calls the peak, at the clock that it has now.
///
/// ```
/// use bitnet_kernels::{Cpu, peaks};
/// assert!(peaks::f32_operations_per_second(Cpu::best()) > 0.0);
/// ```
pub fn f32_operations_per_second(cpu: Cpu) -> f64 {
    const STEPS: usize = 1 << 14;
    rate(|| fused(cpu, STEPS))
}

/// Multiplications and additions per second that all threads together reach in products of two-bit
/// codes with int8, summed exactly: two for each product. The codes are unpacked before and the
/// activations lie in the first-level cache. With AMX, of as many tokens as its tiles have rows.
///
/// ```
/// use bitnet_kernels::{Cpu, peaks};
/// assert!(peaks::int8_operations_per_second(Cpu::best()) > 0.0);
/// ```
pub fn int8_operations_per_second(cpu: Cpu) -> f64 {
    rate(|| integer(cpu, 16))
}

/// The fastest round of pieces, each of which returns how many operations it did.
fn rate(piece: impl Fn() -> usize + Sync) -> f64 {
    let pieces = parallel::num_threads() * PIECES_PER_THREAD;
    let round = || {
        let begun = Instant::now();
        parallel::for_each(pieces, 1, |_| {
            black_box(piece());
        });
        begun.elapsed()
    };
    let begun = Instant::now();
    let mut fastest = round();
    while begun.elapsed() < DURATION {
        fastest = fastest.min(round());
    }
    (pieces * piece()) as f64 / fastest.as_secs_f64().max(1e-9)
}

/// Fused multiply-adds of independent sums; returns the operations.
fn fused(cpu: Cpu, steps: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if cpu.isa() >= Isa::Avx512 {
            // SAFETY: a `Cpu` of this tier exists only after detection of its features.
            return unsafe { x86::fused_avx512(steps) };
        }
        if cpu.isa() >= Isa::Avx2 {
            // SAFETY: as above.
            return unsafe { x86::fused_avx2(steps) };
        }
    }
    let _ = (cpu, Isa::Scalar);
    portable(steps)
}

/// Products of codes with int8; returns the operations.
fn integer(cpu: Cpu, passes: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if cpu.isa() == Isa::Amx {
        // SAFETY: a `Cpu` of this tier exists only after detection, and this thread has no other tiles.
        return x86::tiles(unsafe { Tiles::configure([amx::ROWS; 2]) }, passes);
    }
    cpu.run(Dots { passes })
}

/// What is left of a sum at each step and what is added: it tends to 2, so that it is never slow to
/// compute with as very small numbers are.
const FACTOR: f32 = 0.5;
const TERM: f32 = 1.0;

/// Twelve registers of four lanes.
fn portable(steps: usize) -> usize {
    let (factor, term) = (black_box(FACTOR), black_box(TERM));
    let mut sums = [0.0f32; 48];
    for _ in 0..steps {
        for sum in &mut sums {
            // Where there is no such instruction, `mul_add` is a function that computes it in software.
            *sum = match cfg!(target_arch = "aarch64") {
                true => sum.mul_add(factor, term),
                false => *sum * factor + term,
            };
        }
    }
    black_box(sums);
    2 * steps * sums.len()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::{FACTOR, TERM};
    use crate::simd::PlaneBytes;
    use crate::simd::amx::{Products, ROW_BYTES, ROWS, Tiles};

    /// Ten sums: two instructions a cycle, each of which takes four or five cycles.
    const SUMS: usize = 10;

    /// Steps of a product: what they read, of the codes and of the activations twice the same, fits
    /// into the first-level cache.
    const STEPS: usize = 16;

    /// Products of each pass: a pass of tiles is over sooner than one of registers.
    const REPEATS: usize = 16;

    #[repr(align(64))]
    struct Activations([i8; ROWS * ROW_BYTES * STEPS]);

    pub(super) fn tiles(tiles: Tiles, passes: usize) -> usize {
        static CODES: [PlaneBytes; ROWS * STEPS] = [PlaneBytes([1; 64]); ROWS * STEPS];
        static ACTIVATIONS: Activations = Activations([-3; ROWS * ROW_BYTES * STEPS]);
        let mut products = Products::ZERO;
        for _ in 0..passes * REPEATS {
            let (q, codes) = (black_box(&ACTIVATIONS.0[..]), black_box(&CODES[..]));
            tiles.multiply([q; 2], ROW_BYTES * STEPS, [codes; 2], STEPS, &mut products);
            black_box(&mut products);
        }
        2 * passes * REPEATS * STEPS * 4 * ROWS * ROWS * ROW_BYTES
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn fused_avx512(steps: usize) -> usize {
        let (factor, term) = (_mm512_set1_ps(black_box(FACTOR)), _mm512_set1_ps(black_box(TERM)));
        let mut sums = [_mm512_setzero_ps(); SUMS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(_mm512_reduce_add_ps(sum));
        }
        2 * 16 * SUMS * steps
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn fused_avx2(steps: usize) -> usize {
        let (factor, term) = (_mm256_set1_ps(black_box(FACTOR)), _mm256_set1_ps(black_box(TERM)));
        let mut sums = [_mm256_setzero_ps(); SUMS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(_mm256_cvtss_f32(sum));
        }
        2 * 8 * SUMS * steps
    }
}

/// Products of planes of codes with activations; returns the operations.
struct Dots {
    passes: usize,
}

/// Quads of activations of a token: 4 KiB for four tokens.
const QUADS: usize = 256;

impl Kernel for Dots {
    type Output = usize;

    const INTEGER_DOTS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        match S::TWO_ROW_BLOCKS {
            true => dots::<S, 4>(simd, self.passes),
            false => dots::<S, 1>(simd, self.passes),
        }
    }
}

/// Four planes × `Q` tokens: as many independent sums as the registers hold.
#[inline(always)]
fn dots<S: Simd, const Q: usize>(simd: S, passes: usize) -> usize {
    let tile = simd.tile(&black_box([0b01_10_01_00; 64]));
    let planes = [
        simd.plane::<0>(tile),
        simd.plane::<1>(tile),
        simd.plane::<2>(tile),
        simd.plane::<3>(tile),
    ];
    let mut quads = [[[0i8; 4]; Q]; QUADS];
    for (index, quad) in quads.iter_mut().flatten().enumerate() {
        *quad = [index as i8, 1, -2, 3];
    }
    let mut sums = [0i32; 16];
    for _ in 0..passes {
        // Opaque to the compiler, which could otherwise take the sum of one pass for that of all.
        let quads: &[[[i8; 4]; Q]; QUADS] = black_box(&quads);
        for stretch in quads.chunks(S::planes_per_partial(2)) {
            let mut partials = [[simd.partial_zero(); 4]; Q];
            for quad in stretch {
                for t in 0..Q {
                    for p in 0..4 {
                        partials[t][p] = simd.plane_dot(partials[t][p], planes[p], &quad[t]);
                    }
                }
            }
            for partial in partials {
                simd.add_partials(&mut sums, partial);
            }
        }
    }
    black_box(sums);
    // A plane is 16 rows × 4 columns.
    2 * passes * QUADS * Q * 4 * 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_has_peaks() {
        for &cpu in Cpu::available() {
            for rate in [f32_operations_per_second(cpu), int8_operations_per_second(cpu)] {
                assert!(rate.is_finite() && rate > 0.0, "{cpu}: {rate}");
            }
        }
    }

    #[test]
    fn operations_are_counted() {
        assert_eq!(portable(3), 2 * 3 * 48);
        for &cpu in Cpu::available() {
            assert_eq!(fused(cpu, 6), 2 * fused(cpu, 3));
            assert_eq!(integer(cpu, 4), 2 * integer(cpu, 2));
        }
    }
}
