//! The largest and the smallest of a slice, and where they are.

use super::SPAN;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Cpu, parallel};

/// Numbers among which the place of a winner is looked for.
const BLOCK: usize = 1024;

/// The largest number; NaN if any is.
///
/// # Panics
/// If there is none.
pub fn max(cpu: Cpu, x: &[f32]) -> f32 {
    value(cpu, x, false)
}

/// The smallest number; NaN if any is.
///
/// # Panics
/// If there is none.
pub fn min(cpu: Cpu, x: &[f32]) -> f32 {
    value(cpu, x, true)
}

/// The index of the first largest number, or of the first NaN if there is one (as NumPy).
///
/// # Panics
/// If there is no number.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// assert_eq!(reduce::argmax(Cpu::best(), &[1.0, 7.0, -2.0, 7.0]), 1);
/// ```
pub fn argmax(cpu: Cpu, x: &[f32]) -> usize {
    place(cpu, x, false)
}

/// The index of the first smallest number, or of the first NaN if there is one.
///
/// # Panics
/// If there is no number.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// assert_eq!(reduce::argmin(Cpu::best(), &[1.0, -7.0, -2.0, -7.0]), 1);
/// ```
pub fn argmin(cpu: Cpu, x: &[f32]) -> usize {
    place(cpu, x, true)
}

/// The largest (smallest, if `negate`) number.
fn value(cpu: Cpu, x: &[f32], negate: bool) -> f32 {
    let best = by_span(x, |x| cpu.run(Extreme { x, negate }).1);
    let later_wins = |a: f32, b: f32| b.is_nan() || if negate { b < a } else { b > a };
    let best = best.into_iter().reduce(|a, b| if later_wins(a, b) { b } else { a });
    match best {
        // Vectors do not say which of two zeros came first.
        Some(0.0) | None => x[place(cpu, x, negate)],
        Some(best) => best,
    }
}

/// The index of the first largest (smallest, if `negate`) number or first NaN.
fn place(cpu: Cpu, x: &[f32], negate: bool) -> usize {
    let best = by_span(x, |x| {
        let (block, wanted) = cpu.run(Extreme { x, negate });
        let start = block * BLOCK;
        start + cpu.run(Find { x: &x[start..], wanted })
    });
    let better = |a: usize, b: usize| match negate {
        _ if x[a].is_nan() => false,
        _ if x[b].is_nan() => true,
        false => x[b] > x[a],
        true => x[b] < x[a],
    };
    let best = best.into_iter().enumerate().map(|(span, place)| span * SPAN + place);
    best.reduce(|a, b| if better(a, b) { b } else { a }).unwrap_or(0)
}

/// `f` of each span, on several threads.
fn by_span<R: Copy + Default + Send>(x: &[f32], f: impl Fn(&[f32]) -> R + Sync) -> Vec<R> {
    assert!(!x.is_empty(), "the largest or smallest of no numbers");
    if x.len() <= SPAN {
        return vec![f(x)];
    }
    let mut results = vec![R::default(); x.len().div_ceil(SPAN)];
    parallel::for_each_chunk_mut(&mut results, 1, |span, result| {
        result[0] = f(&x[span * SPAN..x.len().min((span + 1) * SPAN)]);
    });
    results
}

/// The first block with the winner, and the winner; NaN if there is one.
struct Extreme<'a> {
    x: &'a [f32],
    negate: bool,
}

impl Kernel for Extreme<'_> {
    type Output = (usize, f32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (usize, f32) {
        if self.negate { extreme::<S, true>(s, self.x) } else { extreme::<S, false>(s, self.x) }
    }
}

#[inline(always)]
fn extreme<S: Simd, const SMALLEST: bool>(s: S, x: &[f32]) -> (usize, f32) {
    let better = |a: f32, b: f32| if SMALLEST { a < b } else { a > b };
    let weakest = if SMALLEST { f32::INFINITY } else { f32::NEG_INFINITY };
    let mut winner = (0, weakest);
    for (index, block) in x.chunks(BLOCK).enumerate() {
        // Four vectors each: of the best numbers, and of zeros unless a NaN came by.
        let (mut best, mut nan) = ([s.splat(weakest); 4], [s.splat(0.0); 4]);
        let (quads, tail) = block.as_chunks::<{ 4 * LANES }>();
        for quad in quads {
            let quad = quad.as_chunks::<LANES>().0;
            for i in 0..4 {
                let v = s.load(&quad[i]);
                best[i] = if SMALLEST { s.min(v, best[i]) } else { s.max(v, best[i]) };
                nan[i] = s.select(s.is_nan(v), v, nan[i]);
            }
        }
        for part in tail.chunks(LANES) {
            let v = s.load_partial(part, part[0]);
            best[0] = if SMALLEST { s.min(v, best[0]) } else { s.max(v, best[0]) };
            nan[0] = s.select(s.is_nan(v), v, nan[0]);
        }
        let nan = s.add(s.add(nan[0], nan[1]), s.add(nan[2], nan[3]));
        if s.to_array(nan).iter().any(|v| v.is_nan()) {
            return (index, f32::NAN);
        }
        let pairs = if SMALLEST {
            s.min(s.min(best[0], best[1]), s.min(best[2], best[3]))
        } else {
            s.max(s.max(best[0], best[1]), s.max(best[2], best[3]))
        };
        let best = s.fold(pairs, |a, b| if better(a, b) { a } else { b });
        if better(best, winner.1) {
            winner = (index, best);
        }
    }
    winner
}

/// The place of the first number that equals `wanted`, or is NaN as it is; 0 without one.
struct Find<'a> {
    x: &'a [f32],
    wanted: f32,
}

impl Kernel for Find<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        let found = |v: f32| v == self.wanted || (self.wanted.is_nan() && v.is_nan());
        for (index, part) in self.x.chunks(4 * LANES).enumerate() {
            let mut any = false;
            for &v in part {
                any |= found(v);
            }
            if any {
                return index * 4 * LANES + part.iter().position(|&v| found(v)).unwrap_or(0);
            }
        }
        0 // every number is −∞ (∞ for the smallest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, LENGTHS};

    fn naive_argmax(x: &[f32], sign: f32) -> usize {
        let mut best = 0;
        for i in 1..x.len() {
            if !x[best].is_nan() && (x[i].is_nan() || x[i] * sign > x[best] * sign) {
                best = i;
            }
        }
        best
    }

    #[test]
    fn extremes_are_the_first_and_nan_wins() {
        for len in LENGTHS.into_iter().chain([5000, SPAN + 5, 3 * SPAN]).filter(|&len| len > 0) {
            for seed in 0..4 {
                let mut x = reference::awkward_floats(len, seed);
                if seed > 0 {
                    x.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = 2.0);
                }
                if seed > 1 {
                    x.iter_mut().for_each(|v| *v = v.clamp(-3.0, 3.0).round());
                }
                for &cpu in Cpu::available() {
                    assert_eq!(argmax(cpu, &x), naive_argmax(&x, 1.0), "{len} {seed} {cpu}");
                    let smallest = naive_argmax(&x, -1.0);
                    assert_eq!(argmin(cpu, &x), smallest, "{len} {seed} {cpu}");
                    assert_eq!(reference::bits(&[min(cpu, &x)]), reference::bits(&[x[smallest]]));
                }
            }
        }
        for &cpu in Cpu::available() {
            assert_eq!(argmax(cpu, &[f32::NEG_INFINITY; 40]), 0);
            assert_eq!(min(cpu, &[f32::INFINITY; 40]), f32::INFINITY);
        }
    }
}
