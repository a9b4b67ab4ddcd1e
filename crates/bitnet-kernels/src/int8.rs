//! Int8 weights: quantization by row, and products with int8 activations.
//!
//! For a matrix that ternary weights would harm, such as a large output head. Weights are
//! row-major without padding, one scale per row; every product is exact in i32.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::dispatch::Cpu;
use crate::parallel::{self, SharedMut};
use crate::product::{Finish, Scaled, Sums};
use crate::quantized::{OperandError, QuantizedRows, expect_len};
use crate::simd::{Kernel, Simd};

/// Rows of a register block.
const ROWS: usize = 4;

/// Bytes of weights that one thread reads at a time.
const PIECE: usize = 1 << 16;

/// With more columns, 2¹⁷ products of −128 · −128 could overflow an `i32` sum.
const MAX_COLS: usize = (1 << 17) - 1;

/// A borrowed int8 matrix: weight (r, c) is `codes[r · cols + c] · scales[r]`.
#[derive(Debug, Clone, Copy)]
pub struct Int8Matrix<'a> {
    codes: &'a [i8],
    cols: usize,
    scales: &'a [f32],
}

impl<'a> Int8Matrix<'a> {
    /// Describes `scales.len()` rows of `cols` codes each, contiguous and row-major.
    ///
    /// # Errors
    /// [`OperandError::TooLarge`] from 2¹⁷ columns on, where a sum could overflow `i32`;
    /// [`OperandError::Length`] if `codes` has another length.
    pub fn new(codes: &'a [i8], cols: usize, scales: &'a [f32]) -> Result<Self, OperandError> {
        let rows = scales.len();
        let len = rows
            .checked_mul(cols)
            .filter(|_| cols <= MAX_COLS)
            .ok_or(OperandError::TooLarge { rows, cols })?;
        expect_len("codes", len, codes.len())?;
        Ok(Int8Matrix { codes, cols, scales })
    }

    /// Number of rows (output features).
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Number of columns (input features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The codes, row-major.
    pub fn codes(&self) -> &'a [i8] {
        self.codes
    }

    /// The scale of each row.
    pub fn scales(&self) -> &'a [f32] {
        self.scales
    }
}

/// `out[t][r] = (Σ_c w(r, c) · q(t, c)) as f32 · (w.scales[r] · x.scales[t])`.
///
/// `out` is tokens × rows, row-major. Exact sums and this one float formula on every tier.
///
/// # Panics
/// If `w` and `x` differ in columns, or `out` has not `x.rows() · w.rows()` elements.
///
/// ```
/// use bitnet_kernels::int8::{Int8Matrix, linear};
/// use bitnet_kernels::{Cpu, QuantizedRows};
/// let w = Int8Matrix::new(&[1, 2, 3, -4, 5, 6], 3, &[0.5, 2.0])?;
/// let mut codes = [0; 64];
/// codes[..3].copy_from_slice(&[10, 20, -30]);
/// let x = QuantizedRows::new(&codes, 64, 3, &[0.1], &[0])?;
/// let mut out = [0.0; 2];
/// linear(Cpu::best(), &w, &x, &mut out);
/// assert_eq!(out, [-40.0 * (0.5 * 0.1), -120.0 * (2.0 * 0.1)]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn linear(cpu: Cpu, w: &Int8Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    product(cpu, w, x, out, Scaled { rows: w.scales(), tokens: x.scales() });
}

/// `out[t][r] = Σ_c w(r, c) · q(t, c)`: the exact sums of [`linear`], without scales.
///
/// # Panics
/// As [`linear`].
pub fn linear_i32(cpu: Cpu, w: &Int8Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [i32]) {
    product(cpu, w, x, out, Sums);
}

fn product<T: Send, F: Finish<T>>(
    cpu: Cpu,
    w: &Int8Matrix<'_>,
    x: &QuantizedRows<'_>,
    out: &mut [T],
    finish: F,
) {
    assert_eq!(w.cols(), x.cols(), "columns of the weights and of the activations");
    assert_eq!(Some(out.len()), x.rows().checked_mul(w.rows()), "out is tokens × rows");
    if out.is_empty() {
        return;
    }
    let out = SharedMut::of(out);
    let grain = (PIECE / w.cols().max(1)).next_multiple_of(ROWS).max(ROWS);
    parallel::for_each(w.rows(), grain, |rows| {
        cpu.run(Piece { w, x, first_row: rows.start, end_row: rows.end, out: &out, finish });
    });
}

/// Some rows × all tokens: what one thread computes at a time.
struct Piece<'a, T, F> {
    w: &'a Int8Matrix<'a>,
    x: &'a QuantizedRows<'a>,
    first_row: usize,
    end_row: usize,
    out: &'a SharedMut<'a, T>,
    finish: F,
}

impl<T, F: Finish<T>> Kernel for Piece<'_, T, F> {
    type Output = ();

    const INTEGER_DOTS: bool = true;

    /// Tokens outside: the rows of a piece stay in the L2 cache for the next tokens.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tokens = self.x.rows();
        let mut token = 0;
        if S::INT8_TOKENS == 4 {
            while token + 4 <= tokens {
                self.rows::<S, 4>(simd, token);
                token += 4;
            }
        }
        while token < tokens {
            self.rows::<S, 1>(simd, token);
            token += 1;
        }
    }
}

impl<T, F: Finish<T>> Piece<'_, T, F> {
    /// All rows of the piece × `Q` tokens.
    #[inline(always)]
    fn rows<S: Simd, const Q: usize>(&self, simd: S, first_token: usize) {
        let mut x: [&[i8]; Q] = [&[]; Q];
        let mut x_sums = [0; Q];
        for t in 0..Q {
            x[t] = self.x.padded_row(first_token + t);
            x_sums[t] = self.x.sums()[first_token + t];
        }
        if Q == 1 {
            for row in self.first_row..self.end_row {
                let w = &self.w.codes()[row * self.w.cols()..][..self.w.cols()];
                let sum = row_product(simd, w, x[0], x_sums[0]);
                let start = first_token * self.w.rows() + row;
                // SAFETY: pieces are disjoint in rows, hence in (token, row).
                let out = unsafe { self.out.range(start..start + 1) };
                self.finish.finish(&[sum], row, first_token, out);
            }
            return;
        }
        let mut row = self.first_row;
        while row < self.end_row {
            let cols = self.w.cols();
            let mut w: [&[i8]; ROWS] = [&[]; ROWS];
            for r in 0..ROWS {
                // Beyond the end the last row is computed again, and not stored.
                let row = (row + r).min(self.end_row - 1);
                w[r] = &self.w.codes()[row * cols..][..cols];
            }
            let sums = register_block(simd, w, x, x_sums);
            let used = ROWS.min(self.end_row - row);
            for t in 0..Q {
                let token = first_token + t;
                let start = token * self.w.rows() + row;
                // SAFETY: pieces are disjoint in rows, hence in (token, row).
                let out = unsafe { self.out.range(start..start + used) };
                self.finish.finish(&sums[t][..used], row, token, out);
            }
            row += ROWS;
        }
    }
}

/// The dot product of one row of weights with zero-padded activations.
#[inline(always)]
fn row_product<S: Simd>(simd: S, w: &[i8], x: &[i8], x_sum: i32) -> i32 {
    let (w_blocks, w_tail) = w.as_chunks::<64>();
    let x_blocks = x.as_chunks::<64>().0;
    let (w_groups, w_rest) = w_blocks.as_chunks::<4>();
    let (x_groups, x_rest) = x_blocks[..w_blocks.len()].as_chunks::<4>();
    let mut sums = [simd.int8_zero(); 4];
    for (w, x) in w_groups.iter().zip(x_groups) {
        for i in 0..4 {
            sums[i] = row_step(simd, sums[i], &w[i], &x[i]);
        }
    }
    for (w, x) in w_rest.iter().zip(x_rest) {
        sums[0] = row_step(simd, sums[0], w, x);
    }
    if !w_tail.is_empty() {
        let mut tail = [0; 64];
        tail[..w_tail.len()].copy_from_slice(w_tail);
        sums[0] = row_step(simd, sums[0], &tail, &x_blocks[w_blocks.len()]);
    }
    let mut sum = sums[0];
    for i in 1..4 {
        sum = simd.int8_add(sum, sums[i]);
    }
    simd.int8_total(sum, x_sum)
}

/// Adds the products of 64 weights and activations.
#[inline(always)]
fn row_step<S: Simd>(simd: S, sum: S::Int8Sum, w: &[i8; 64], x: &[i8; 64]) -> S::Int8Sum {
    simd.int8_dot(sum, simd.int8_weights(w), simd.int8_activations(x))
}

/// The dot products of `ROWS` rows of weights with `Q` zero-padded rows of activations.
#[inline(always)]
fn register_block<S: Simd, const Q: usize>(
    simd: S,
    w: [&[i8]; ROWS],
    x: [&[i8]; Q],
    x_sums: [i32; Q],
) -> [[i32; ROWS]; Q] {
    let cols = w[0].len();
    let full = cols / 64;
    let mut w_blocks: [&[[i8; 64]]; ROWS] = [&[]; ROWS];
    for r in 0..ROWS {
        w_blocks[r] = &w[r].as_chunks().0[..full];
    }
    let mut x_blocks: [&[[i8; 64]]; Q] = [&[]; Q];
    for t in 0..Q {
        x_blocks[t] = &x[t].as_chunks().0[..cols.div_ceil(64)];
    }
    let mut sums = [[simd.int8_zero(); ROWS]; Q];
    for k in 0..full {
        let mut activations = [simd.int8_activations(&x_blocks[0][k]); Q];
        for t in 1..Q {
            activations[t] = simd.int8_activations(&x_blocks[t][k]);
        }
        for r in 0..ROWS {
            // The next rows follow in memory: ask for them in order, as hardware expects.
            let ahead = ROWS * cols + 64 * (ROWS * k + r);
            simd.prefetch(w[0].as_ptr().wrapping_add(ahead).cast());
            let weights = simd.int8_weights(&w_blocks[r][k]);
            for t in 0..Q {
                sums[t][r] = simd.int8_dot(sums[t][r], weights, activations[t]);
            }
        }
    }
    if !cols.is_multiple_of(64) {
        for r in 0..ROWS {
            let mut tail = [0; 64];
            tail[..cols % 64].copy_from_slice(&w[r][64 * full..]);
            let weights = simd.int8_weights(&tail);
            for t in 0..Q {
                let activations = simd.int8_activations(&x_blocks[t][full]);
                sums[t][r] = simd.int8_dot(sums[t][r], weights, activations);
            }
        }
    }
    let mut totals = [[0; ROWS]; Q];
    for t in 0..Q {
        for r in 0..ROWS {
            totals[t][r] = simd.int8_total(sums[t][r], x_sums[t]);
        }
    }
    totals
}

/// Quantizes `scales.len()` rows of `cols` weights to int8, in parallel over rows:
/// scale = absmax / 127 and code = round_half_even(value / absmax · 127). A row of zeros has
/// scale 0.
///
/// `fill_row(row, values)` writes the `cols` weights of a row, converted from whatever they
/// are stored as; it is called once for each row, in no particular order, and finds `values`
/// with any content. `codes` is rows × `cols`, row-major.
///
/// # Errors
/// [`OperandError::Length`] if `codes` has another length; [`OperandError::NotFinite`] if a
/// weight is infinite or NaN: `codes` and `scales` then hold no particular values.
///
/// ```
/// let weights = [[1.0f32, -2.0], [0.0, 0.0]];
/// let (mut codes, mut scales) = ([0; 4], [0.0; 2]);
/// bitnet_kernels::int8::quantize_rows(
///     bitnet_kernels::Cpu::best(),
///     2,
///     |row, values| values.copy_from_slice(&weights[row]),
///     &mut codes,
///     &mut scales,
/// )?;
/// assert_eq!((codes, scales), ([64, -127, 0, 0], [2.0 / 127.0, 0.0]));
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn quantize_rows(
    cpu: Cpu,
    cols: usize,
    fill_row: impl Fn(usize, &mut [f32]) + Sync,
    codes: &mut [i8],
    scales: &mut [f32],
) -> Result<(), OperandError> {
    let rows = scales.len();
    let len = rows.checked_mul(cols).ok_or(OperandError::TooLarge { rows, cols })?;
    expect_len("codes", len, codes.len())?;
    let codes = SharedMut::of(codes);
    let grain = (PIECE / cols.max(1)).max(1);
    let bad_row = AtomicUsize::new(usize::MAX);
    parallel::for_each_chunk_mut(scales, grain, |piece, scales| {
        let mut values = vec![0.0; cols];
        for (i, scale) in scales.iter_mut().enumerate() {
            let row = piece * grain + i;
            fill_row(row, &mut values);
            // SAFETY: each row is visited once, and rows do not overlap.
            let codes = unsafe { codes.range(row * cols..(row + 1) * cols) };
            match cpu.run(QuantizeRow { values: &values, codes }) {
                Some(row_scale) => *scale = row_scale,
                None => _ = bad_row.fetch_min(row, Ordering::Relaxed),
            }
        }
    });
    match bad_row.into_inner() {
        usize::MAX => Ok(()),
        row => Err(OperandError::NotFinite { row }),
    }
}

/// Quantizes one row; its scale, or `None` if a value is not finite.
struct QuantizeRow<'a> {
    values: &'a [f32],
    codes: &'a mut [i8],
}

impl Kernel for QuantizeRow<'_> {
    type Output = Option<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Option<f32> {
        // The bits of absolute values order as the values do, NaN above infinity: a maximum
        // that vectorises and loses nothing.
        let mut most = 0;
        for value in self.values {
            most = most.max(value.to_bits() & 0x7fff_ffff);
        }
        let absmax = f32::from_bits(most);
        if !absmax.is_finite() {
            return None;
        }
        if absmax == 0.0 {
            self.codes.fill(0);
            return Some(0.0);
        }
        for (code, value) in self.codes.iter_mut().zip(self.values) {
            // Dividing first cannot overflow, however small the row.
            *code = (value / absmax * 127.0).round_ties_even() as i8;
        }
        Some(absmax / 127.0)
    }
}
