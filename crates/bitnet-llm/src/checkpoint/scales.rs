//! The scales of a ternary matrix, and how they are found for a matrix of numbers: block by block,
//! so that a matrix of any size needs little memory.

use std::sync::Mutex;

use bitnet_kernels::ternary::quantize::{absmean_scale, ternarize_row};
use bitnet_kernels::{Cpu, OperandError, parallel, reduce};
use bitnet_tensor::TernaryScale;

use super::matrix::{Encoding, Matrix};

/// Which weights share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleUnit {
    /// All.
    Tensor,
    /// Those of a row.
    Row,
    /// So many neighbours in a row.
    Group(usize),
}

/// How numbers become ternary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TernaryRule {
    /// How a scale is found: [`TernaryScale::AbsMean`] or [`TernaryScale::Optimal`].
    pub scale: TernaryScale,
    /// Which weights share it.
    pub unit: ScaleUnit,
}

/// The rule of BitNet b1.58.
impl Default for TernaryRule {
    fn default() -> Self {
        Self { scale: TernaryScale::AbsMean, unit: ScaleUnit::Tensor }
    }
}

/// The scales of a matrix: weight = code · scale.
#[derive(Debug, Clone, PartialEq)]
pub enum Scales {
    /// One for all weights.
    Tensor(f32),
    /// One for each `len` neighbours of a row, row after row.
    Groups {
        /// Weights of a group; divides the columns.
        len: usize,
        /// `rows · columns / len` scales.
        values: Vec<f32>,
    },
}

impl Scales {
    /// The same with fewer numbers where they repeat. Groups of scale zero, whose weights are zero
    /// whatever the scale, count as having any.
    #[must_use]
    pub(super) fn simplified(self, cols: usize) -> Self {
        let Self::Groups { len, values } = self else { return self };
        let alike = |values: &[f32]| {
            let mut rest = values.iter().copied().filter(|&scale| scale != 0.0);
            let first = rest.next().unwrap_or(0.0);
            rest.all(|scale| scale == first).then_some(first)
        };
        if let Some(scale) = alike(&values) {
            return Self::Tensor(scale);
        }
        let per_row = cols / len.max(1);
        if per_row > 1
            && let Some(values) = values.chunks(per_row).map(alike).collect::<Option<Vec<_>>>()
        {
            return Self::Groups { len: cols, values };
        }
        Self::Groups { len, values }
    }

    /// The one scale of all weights, where there is one.
    #[must_use]
    pub fn tensor(&self) -> Option<f32> {
        match self {
            Self::Tensor(scale) => Some(*scale),
            Self::Groups { values, .. } => match values.as_slice() {
                [scale] => Some(*scale),
                _ => None,
            },
        }
    }

    /// Whether each `block` neighbours of a row have one scale.
    #[must_use]
    pub fn fit(&self, block: usize) -> bool {
        match self {
            Self::Tensor(_) => true,
            Self::Groups { len, .. } => block > 0 && len.is_multiple_of(block),
        }
    }

    /// Writes the scales of the blocks of row `row` of `cols` weights.
    pub(super) fn fill(&self, row: usize, cols: usize, out: &mut [f32]) {
        match self {
            Self::Tensor(scale) => out.fill(*scale),
            Self::Groups { len, values } => {
                let block = cols / out.len().max(1);
                let scales = &values[row * (cols / len)..];
                for (index, out) in out.iter_mut().enumerate() {
                    *out = scales[index * block / len];
                }
            }
        }
    }

    /// The scales of a row of `cols` weights: one for each of equal parts of it.
    pub(super) fn of_row(&self, row: usize, cols: usize) -> &[f32] {
        match self {
            Self::Tensor(scale) => std::slice::from_ref(scale),
            Self::Groups { len, values } => {
                let per_row = cols / (*len).max(1);
                &values[row * per_row..][..per_row]
            }
        }
    }

    /// The largest `|a − b| / max(|a|, |b|)` of the scales of a row, where `codes` are not zero.
    pub(crate) fn largest_relative_difference(
        &self,
        other: &Self,
        row: usize,
        codes: &[i8],
    ) -> f64 {
        let cols = codes.len();
        let (a, b) = (self.of_row(row, cols), other.of_row(row, cols));
        let pieces = a.len().max(b.len());
        let len = cols.checked_div(pieces).unwrap_or(0).max(1);
        let mut largest = 0.0f64;
        for (piece, codes) in codes.chunks(len).enumerate() {
            let at = |scales: &[f32]| {
                f64::from(scales[(piece * scales.len() / pieces).min(scales.len() - 1)])
            };
            let (a, b) = (at(a), at(b));
            if a != b && codes.iter().any(|&code| code != 0) {
                let relative = (a - b).abs() / a.abs().max(b.abs());
                largest = largest.max(if relative.is_nan() { f64::INFINITY } else { relative });
            }
        }
        largest
    }

    /// The smallest and the largest.
    #[must_use]
    pub fn range(&self) -> (f32, f32) {
        match self {
            Self::Tensor(scale) => (*scale, *scale),
            Self::Groups { values, .. } => {
                values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| {
                    (low.min(v), high.max(v))
                })
            }
        }
    }
}

/// The scales that `rule` gives a matrix of numbers. Per tensor it reads the matrix once for the
/// mean, twice or more for the optimal scale.
///
/// # Errors
/// Numbers that are not finite, groups that do not divide a row, a rule that is not supported.
pub fn scales_of(matrix: &Matrix<'_>, rule: TernaryRule) -> Result<Scales, OperandError> {
    let cols = matrix.cols();
    let len = match rule.unit {
        ScaleUnit::Tensor => {
            return Ok(Scales::Tensor(match rule.scale {
                TernaryScale::Optimal => optimal_of_tensor(matrix)?,
                _ => absmean_of_tensor(matrix)?,
            }));
        }
        ScaleUnit::Row => cols,
        ScaleUnit::Group(len) => len,
    };
    if len == 0 || !cols.is_multiple_of(len) {
        return Err(OperandError::BlockColumns { format: "group", cols, block: len });
    }
    let per_row = cols / len;
    let mut values = vec![0.0; matrix.rows() * per_row];
    let fault = Fault::new();
    parallel::for_each_chunk_mut(&mut values, per_row, |row, scales| {
        let mut numbers = vec![0.0; cols];
        if fault.keep(matrix.read_row(row, &mut numbers)).is_none() {
            return;
        }
        for (scale, group) in scales.iter_mut().zip(numbers.chunks_exact_mut(len)) {
            *scale = match rule.scale {
                TernaryScale::Optimal => optimal_scale(group),
                _ => absmean_scale(Cpu::best(), group),
            };
            if group.iter().any(|v| !v.is_finite()) {
                fault.keep::<()>(Err(OperandError::NotFinite { row }));
            }
        }
    });
    fault.into_result()?;
    Ok(Scales::Groups { len, values })
}

/// The codes of a row of numbers under its scales.
pub(super) fn ternarize(numbers: &[f32], scales: &[f32], rule: TernaryScale, codes: &mut [i8]) {
    let len = numbers.len() / scales.len().max(1);
    if len == 0 {
        return;
    }
    let groups = numbers.chunks_exact(len).zip(codes.chunks_exact_mut(len));
    for ((numbers, codes), &scale) in groups.zip(scales) {
        match rule {
            TernaryScale::Optimal if scale > 0.0 => {
                for (code, number) in codes.iter_mut().zip(numbers) {
                    *code = (number / scale).round_ties_even().clamp(-1.0, 1.0) as i8;
                }
            }
            TernaryScale::Optimal => codes.fill(0),
            _ => ternarize_row(Cpu::best(), numbers, 1.0 / scale, codes),
        }
    }
}

/// Calls `f` with pieces of the matrix, in parallel, and returns the results in their order.
fn map_pieces<T: Send + Default>(
    matrix: &Matrix<'_>,
    len: usize,
    f: impl Fn(&[f32]) -> T + Sync,
) -> Result<Vec<T>, OperandError> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let flat = matches!(matrix.encoding(), Encoding::Number(_));
    let elements = rows * cols;
    let count = if flat { elements.div_ceil(len) } else { rows };
    let mut results: Vec<T> = (0..count).map(|_| T::default()).collect();
    let fault = Fault::new();
    parallel::for_each_chunk_mut(&mut results, 1, |index, result| {
        let first = index * len;
        let mut numbers = vec![0.0; if flat { len.min(elements - first) } else { cols }];
        let read = match flat {
            true => matrix.read_elements(first, &mut numbers),
            false => matrix.read_row(index, &mut numbers),
        };
        if fault.keep(read).is_some() {
            result[0] = f(&numbers);
        }
    });
    fault.into_result()?;
    Ok(results)
}

/// `max(mean|w|, 1e-5)`: bit for bit that of a matrix quantized in memory, because the sums of
/// pieces are added in the same order.
fn absmean_of_tensor(matrix: &Matrix<'_>) -> Result<f32, OperandError> {
    let sums = map_pieces(matrix, reduce::SPAN, |piece| reduce::sum_abs(Cpu::best(), piece))?;
    let count = matrix.rows() * matrix.cols();
    let sum: f64 = sums.iter().sum();
    if !sum.is_finite() {
        return Err(first_not_finite(matrix));
    }
    Ok(if count == 0 { 1e-5 } else { ((sum / count as f64) as f32).max(1e-5) })
}

fn first_not_finite(matrix: &Matrix<'_>) -> OperandError {
    let mut numbers = vec![0.0; matrix.cols()];
    let bad = (0..matrix.rows()).find(|&row| {
        matrix.read_row(row, &mut numbers).is_ok() && numbers.iter().any(|v| !v.is_finite())
    });
    OperandError::NotFinite { row: bad.unwrap_or(0) }
}

/// The scale of the smallest squared error; `magnitudes` are left sorted and positive. With the k
/// largest as ±1 the best scale is their mean, and the k with the largest `(their sum)² / k` is
/// best.
fn optimal_scale(magnitudes: &mut [f32]) -> f32 {
    magnitudes.iter_mut().for_each(|v| *v = v.abs());
    magnitudes.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut best, mut scale) = (0.0f64, 0.0f64, 0.0f64);
    for (index, &magnitude) in magnitudes.iter().enumerate() {
        sum += f64::from(magnitude);
        let count = (index + 1) as f64;
        if sum * sum / count > best {
            (best, scale) = (sum * sum / count, sum / count);
        }
    }
    scale as f32
}

/// Bits of a magnitude that choose its bin: all that a bf16 or f16 number has.
const BIN_BITS: u32 = 19;
const BIN_SHIFT: u32 = 31 - BIN_BITS;

/// Numbers that are counted at once.
const COUNTED_AT_ONCE: usize = 1 << 20;

/// The optimal scale of all numbers from counts of magnitudes in bins of 2^-11 relative width,
/// exact for bf16 and f16; then the mean of the magnitudes above half the scale until it stands
/// still, which is the exact condition of a best scale.
fn optimal_of_tensor(matrix: &Matrix<'_>) -> Result<f32, OperandError> {
    let total = Mutex::new(vec![0u64; 1 << BIN_BITS]);
    map_pieces(matrix, COUNTED_AT_ONCE, |piece| {
        let mut counts = vec![0u32; 1 << BIN_BITS];
        for number in piece {
            counts[((number.to_bits() & 0x7fff_ffff) >> BIN_SHIFT) as usize] += 1;
        }
        let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        total.iter_mut().zip(counts).for_each(|(total, count)| *total += u64::from(count));
    })?;
    let counts = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if counts[(0x7f80_0000 >> BIN_SHIFT) as usize..].iter().any(|&count| count > 0) {
        return Err(first_not_finite(matrix));
    }
    let (mut sum, mut count, mut best, mut scale) = (0.0f64, 0u64, 0.0f64, 0.0f64);
    for (bin, &in_bin) in counts.iter().enumerate().rev().filter(|(_, in_bin)| **in_bin > 0) {
        sum += f64::from(f32::from_bits((bin as u32) << BIN_SHIFT)) * in_bin as f64;
        count += in_bin;
        if sum * sum / count as f64 > best {
            (best, scale) = (sum * sum / count as f64, sum / count as f64);
        }
    }
    let mut scale = scale as f32;
    for _ in 0..8 {
        let sums = map_pieces(matrix, reduce::SPAN, |piece| {
            let kept = piece.iter().map(|v| v.abs()).filter(|v| *v > 0.5 * scale);
            kept.fold((0.0f64, 0u64), |(sum, count), v| (sum + f64::from(v), count + 1))
        })?;
        let (sum, count) =
            sums.iter().fold((0.0, 0), |total, piece| (total.0 + piece.0, total.1 + piece.1));
        let next = if count > 0 { (sum / count as f64) as f32 } else { scale };
        if next == scale {
            break;
        }
        scale = next;
    }
    Ok(scale)
}

/// The first error of work that several threads do.
pub(super) struct Fault(Mutex<Option<OperandError>>);

impl Fault {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The value, or `None` with the error remembered.
    pub(super) fn keep<T>(&self, result: Result<T, OperandError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let mut first = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                first.get_or_insert(error);
                None
            }
        }
    }

    pub(super) fn into_result(self) -> Result<(), OperandError> {
        let first = self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        first.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Stored;
    use super::*;
    use bitnet_formats::RawDType;
    use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};

    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 7u64;
        let next = |_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let unit = |bits: u64| (bits & 0xffff) as f32 / 65536.0 - 0.5;
            unit(state >> 20) * unit(state >> 40) * 0.3
        };
        (0..count).map(next).collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn scales_and_codes_are_those_of_the_tensor_library() {
        let (rows, cols) = (300, 512);
        let values = numbers(rows * cols);
        let bytes = bytes(&values);
        let f32s = Encoding::Number(RawDType::F32);
        let matrix = Matrix::new([rows, cols], f32s, &bytes, Stored::default()).unwrap();
        let tensor = BitNetTensor::from_slice(&values, [rows, cols]).unwrap();
        for scale in [TernaryScale::AbsMean, TernaryScale::Optimal] {
            for (unit, granularity) in [
                (ScaleUnit::Tensor, Granularity::Tensor),
                (ScaleUnit::Row, Granularity::Row),
                (ScaleUnit::Group(64), Granularity::Group(64)),
            ] {
                let expected =
                    tensor.quantize(QuantizationScheme::Ternary(scale), granularity).unwrap();
                let scales = scales_of(&matrix, TernaryRule { scale, unit }).unwrap();
                let (len, found) = match &scales {
                    Scales::Tensor(scale) => (cols, vec![*scale; rows]),
                    Scales::Groups { len, values } => (*len, values.clone()),
                };
                let wanted = expected.scales().to_vec::<f32>().unwrap();
                for (index, found) in found.iter().enumerate() {
                    let wanted = wanted[if wanted.len() == 1 { 0 } else { index }];
                    // One number at the edge more or less moves a mean of a hundred thousand.
                    assert!((found / wanted - 1.0).abs() < 2e-5, "{scale:?} {unit:?} {index}");
                }
                let wanted = expected.codes().to_vec::<i8>().unwrap();
                let mut codes = vec![0; cols];
                let mut row_scales = vec![0.0; cols / len];
                let mut differing = 0;
                for (row, wanted) in wanted.chunks(cols).enumerate() {
                    scales.fill(row, cols, &mut row_scales);
                    ternarize(&values[row * cols..][..cols], &row_scales, scale, &mut codes);
                    differing += codes.iter().zip(wanted).filter(|(a, b)| a != b).count();
                }
                // A last bit of a scale may move a number that lies on the edge.
                assert!(differing <= 4, "{scale:?} {unit:?}: {differing}");
            }
        }
    }

    #[test]
    fn the_mean_has_the_bits_of_one_in_memory() {
        let values = numbers(3 * reduce::SPAN + 17 * 11);
        let cols = 11;
        let values = &values[..values.len() / cols * cols];
        let bytes = bytes(values);
        let f32s = Encoding::Number(RawDType::F32);
        let shape = [values.len() / cols, cols];
        let matrix = Matrix::new(shape, f32s, &bytes, Stored::default()).unwrap();
        let expected = absmean_scale(Cpu::best(), values);
        assert_eq!(absmean_of_tensor(&matrix).unwrap().to_bits(), expected.to_bits());
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let mut values = numbers(4 * 64);
        values[2 * 64 + 5] = f32::NAN;
        let bytes = bytes(&values);
        let f32s = Encoding::Number(RawDType::F32);
        let matrix = Matrix::new([4, 64], f32s, &bytes, Stored::default()).unwrap();
        for scale in [TernaryScale::AbsMean, TernaryScale::Optimal] {
            for unit in [ScaleUnit::Tensor, ScaleUnit::Row, ScaleUnit::Group(32)] {
                let error = scales_of(&matrix, TernaryRule { scale, unit }).unwrap_err();
                assert_eq!(error, OperandError::NotFinite { row: 2 }, "{scale:?} {unit:?}");
            }
        }
        assert!(
            scales_of(&matrix, TernaryRule { unit: ScaleUnit::Group(48), ..Default::default() })
                .is_err()
        );
    }

    #[test]
    fn scales_that_repeat_are_one() {
        let groups = |values: &[f32]| Scales::Groups { len: 2, values: values.to_vec() };
        assert_eq!(groups(&[0.5, 0.5, 0.0, 0.5]).simplified(4), Scales::Tensor(0.5));
        let rows = Scales::Groups { len: 4, values: vec![0.5, 0.25] };
        assert_eq!(groups(&[0.5, 0.0, 0.25, 0.25]).simplified(4), rows);
        assert_eq!(groups(&[0.5, 0.25, 0.5, 0.25]).simplified(4), groups(&[0.5, 0.25, 0.5, 0.25]));
        assert_eq!(groups(&[0.0; 4]).simplified(4), Scales::Tensor(0.0));
        let mut out = [0.0; 4];
        rows.fill(1, 4, &mut out);
        assert_eq!(out, [0.25; 4]);
        assert!(rows.fit(2) && !rows.fit(8) && Scales::Tensor(1.0).fit(7));
    }
}
