//! The dot products of pairs of bf16 that some processors have beside a tier (`vdpbf16ps`).
//!
//! Products and sums are those of `f32`, but subnormal numbers count as zeros, on the way in and on the
//! way out.

use std::arch::x86_64::*;

use crate::dispatch::{Cpu, Isa};

/// Columns of a register of sums.
pub(crate) const COLUMNS: usize = 16;

/// Rows of a tile of sums: with three registers of columns, as many chains as the instruction has
/// cycles, four times.
pub(crate) const ROWS: usize = 8;

/// Two numbers that follow one another along the inner dimension, the first in the lower half.
pub(crate) type Pair = u32;

/// Proof that this CPU has the instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bf16Dots {
    only_by_detection: (),
}

impl Bf16Dots {
    /// `None` if this CPU has no such products, or `cpu` is a tier below AVX-512.
    pub(crate) fn of(cpu: Cpu) -> Option<Self> {
        let is_there = cpu.isa() >= Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
        is_there.then_some(Self { only_by_detection: () })
    }

    /// Products of `ROWS` rows with `C` times sixteen columns: `[row][group of columns][column]`.
    ///
    /// Only as many pairs are multiplied as all operands have.
    pub(crate) fn products<const C: usize>(
        self,
        rows: &[[Pair; ROWS]],
        columns: [&[[Pair; COLUMNS]]; C],
    ) -> [[[f32; COLUMNS]; C]; ROWS] {
        let Self { only_by_detection: () } = self;
        // SAFETY: this value exists only after detection of both features.
        unsafe { products(rows, columns) }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn products<const C: usize>(
    rows: &[[Pair; ROWS]],
    columns: [&[[Pair; COLUMNS]]; C],
) -> [[[f32; COLUMNS]; C]; ROWS] {
    let count = columns.iter().fold(rows.len(), |count, column| count.min(column.len()));
    let columns = columns.map(|column| &column[..count]);
    let mut sums = [[_mm512_setzero_ps(); C]; ROWS];
    for (at, pairs) in rows[..count].iter().enumerate() {
        let mut of_columns = [_mm512_setzero_si512(); C];
        for c in 0..C {
            // SAFETY: 64 bytes are read, of an array of that size.
            of_columns[c] = unsafe { _mm512_loadu_si512(columns[c][at].as_ptr().cast()) };
        }
        for r in 0..ROWS {
            let of_row = _mm512_set1_epi32(pairs[r].cast_signed());
            for c in 0..C {
                sums[r][c] =
                    _mm512_dpbf16_ps(sums[r][c], pairs_of(of_row), pairs_of(of_columns[c]));
            }
        }
    }
    let mut out = [[[0.0; COLUMNS]; C]; ROWS];
    for r in 0..ROWS {
        for c in 0..C {
            // SAFETY: 64 bytes are written, to an array of that size.
            unsafe { _mm512_storeu_ps(out[r][c].as_mut_ptr(), sums[r][c]) };
        }
    }
    out
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs_of(register: __m512i) -> __m512bh {
    // SAFETY: both are any 512 bits.
    unsafe { std::mem::transmute(register) }
}
