//! The weights of two checkpoints: codes and scales where both are ternary, else numbers.

use std::collections::HashMap;
use std::ops::ControlFlow;

use bitnet_kernels::OperandError;

use crate::checkpoint::{
    Checkpoint, Matrix, OnConvert, Scales, TensorEntry, TernaryRule, scales_of,
};
use crate::error::{LlmError, Result};
use crate::model::Progress;
use crate::model::tensor_names::GGUF_ROPE_FREQS;

/// How a tensor differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// The second checkpoint does not have it.
    OnlyInFirst,
    /// The first checkpoint does not have it.
    OnlyInSecond,
    /// Other sizes.
    Shape {
        /// In the first.
        first: Vec<usize>,
        /// In the second.
        second: Vec<usize>,
    },
    /// Ternary codes.
    Codes {
        /// How many.
        count: u64,
        /// Row and column of the first.
        at: [usize; 2],
        /// The two codes there.
        codes: [i8; 2],
    },
    /// The codes are the same and scales are not.
    Scales {
        /// The largest `|a − b| / max(|a|, |b|)`.
        largest_relative: f64,
        /// The first row with one.
        row: usize,
    },
    /// Numbers.
    Values {
        /// How many.
        count: u64,
        /// Row and column of the first.
        at: [usize; 2],
        /// The two numbers there.
        values: [f32; 2],
        /// The largest `|a − b|`.
        largest: f64,
    },
}

/// A tensor that differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TensorDifference {
    /// Its name, Hugging Face's.
    pub name: String,
    /// How.
    #[serde(flatten)]
    pub difference: Difference,
}

/// What the comparison of two checkpoints found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct WeightComparison {
    /// Tensors that both have.
    pub tensors: usize,
    /// Those that differ, in the order of the first checkpoint.
    pub differences: Vec<TensorDifference>,
}

/// Compares all tensors. Scales that differ by up to `tolerance`, relatively, are the same: a
/// format that stores them as f16 keeps eleven bits, 0.0005. Float masters of ternary models count
/// as what loading makes of them.
///
/// # Errors
/// Tensors that cannot be read; [`LlmError::Interrupted`] when `progress` breaks.
pub fn compare_weights(
    a: &Checkpoint,
    b: &Checkpoint,
    tolerance: f64,
    progress: &mut OnConvert<'_>,
) -> Result<WeightComparison> {
    let of_b = listed(b);
    let of_a = listed(a);
    let total = of_a.values().map(|entry| entry.elements()).sum();
    let mut result = WeightComparison { tensors: 0, differences: Vec::new() };
    let mut done = 0;
    let mut differs = |name: &str, difference| {
        result.differences.push(TensorDifference { name: name.to_owned(), difference });
    };
    let mut both = 0;
    for entry in a.tensors().iter().filter(|entry| of_a.contains_key(entry.name.as_str())) {
        let name = entry.name.as_str();
        match of_b.get(name).copied() {
            None => differs(name, Difference::OnlyInFirst),
            Some(other) if entry.shape != other.shape => {
                let (first, second) = (entry.shape.clone(), other.shape.clone());
                differs(name, Difference::Shape { first, second });
            }
            Some(other) => {
                both += 1;
                if let Some(difference) = compare((a, entry), (b, other), tolerance)? {
                    differs(name, difference);
                }
            }
        }
        done += entry.elements();
        if let ControlFlow::Break(()) = progress(Progress { done, total }) {
            return Err(LlmError::Interrupted);
        }
    }
    for entry in b.tensors() {
        if of_b.contains_key(entry.name.as_str()) && !of_a.contains_key(entry.name.as_str()) {
            differs(&entry.name, Difference::OnlyInSecond);
        }
    }
    result.tensors = both;
    Ok(result)
}

/// The tensors that count: not what formats say in their own way, nor a head that is the embedding.
fn listed(checkpoint: &Checkpoint) -> HashMap<&str, &TensorEntry> {
    let tied = checkpoint.config().is_ok_and(|config| config.tie_word_embeddings);
    let counts = |entry: &&TensorEntry| {
        entry.name != GGUF_ROPE_FREQS
            && !entry.name.ends_with("rotary_emb.inv_freq")
            && !(tied && entry.name == "lm_head.weight")
    };
    checkpoint.tensors().iter().filter(counts).map(|entry| (entry.name.as_str(), entry)).collect()
}

fn compare(
    (a, entry_a): (&Checkpoint, &TensorEntry),
    (b, entry_b): (&Checkpoint, &TensorEntry),
    tolerance: f64,
) -> Result<Option<Difference>> {
    let (matrix_a, matrix_b) = (a.matrix(entry_a)?, b.matrix(entry_b)?);
    let fault = |error: OperandError| LlmError::Model {
        origin: format!("{} and {}", a.origin(), b.origin()),
        reason: format!("tensor {}: {error}", entry_a.name),
    };
    let is_ternary =
        |entry: &TensorEntry, matrix: &Matrix<'_>| entry.masters || matrix.encoding().is_ternary();
    if is_ternary(entry_a, &matrix_a) && is_ternary(entry_b, &matrix_b) {
        return compare_codes(&matrix_a, &matrix_b, tolerance).map_err(fault);
    }
    compare_numbers(&matrix_a, &matrix_b).map_err(fault)
}

/// A ternary matrix, or the one that loading makes of numbers.
struct Ternary<'a> {
    matrix: &'a Matrix<'a>,
    scales: Scales,
    rounds: bool,
}

impl<'a> Ternary<'a> {
    fn new(matrix: &'a Matrix<'a>) -> Result<Self, OperandError> {
        let rounds = !matrix.encoding().is_ternary();
        let scales =
            if rounds { scales_of(matrix, TernaryRule::default())? } else { matrix.scales()? };
        Ok(Self { matrix, scales, rounds })
    }

    fn read(&self, row: usize, codes: &mut [i8]) -> Result<(), OperandError> {
        match self.rounds {
            true => self.matrix.read_rounded(row, &self.scales, TernaryRule::default(), codes),
            false => self.matrix.read_codes(row, codes),
        }
    }
}

fn compare_codes(
    a: &Matrix<'_>,
    b: &Matrix<'_>,
    tolerance: f64,
) -> Result<Option<Difference>, OperandError> {
    let (a, b) = (Ternary::new(a)?, Ternary::new(b)?);
    let cols = a.matrix.cols();
    let (mut codes_a, mut codes_b) = (vec![0; cols], vec![0; cols]);
    let mut first = None;
    let mut count = 0u64;
    let (mut largest, mut scale_row) = (0.0f64, None);
    for row in 0..a.matrix.rows() {
        a.read(row, &mut codes_a)?;
        b.read(row, &mut codes_b)?;
        for (col, (&a, &b)) in codes_a.iter().zip(&codes_b).enumerate() {
            if a != b {
                count += 1;
                first.get_or_insert(([row, col], [a, b]));
            }
        }
        let relative = a.scales.largest_relative_difference(&b.scales, row, &codes_a);
        if relative > tolerance {
            scale_row.get_or_insert(row);
        }
        largest = largest.max(relative);
    }
    Ok(match (first, scale_row) {
        (Some((at, codes)), _) => Some(Difference::Codes { count, at, codes }),
        (None, Some(row)) => Some(Difference::Scales { largest_relative: largest, row }),
        (None, None) => None,
    })
}

fn compare_numbers(a: &Matrix<'_>, b: &Matrix<'_>) -> Result<Option<Difference>, OperandError> {
    let cols = a.cols();
    let (mut numbers_a, mut numbers_b) = (vec![0.0; cols], vec![0.0; cols]);
    let (mut count, mut first, mut largest) = (0u64, None, 0.0f64);
    // Integers are no model's weights: their bytes are compared.
    if a.encoding() == b.encoding() && a.data() == b.data() && a.stored() == b.stored() {
        return Ok(None);
    }
    for row in 0..a.rows() {
        a.read_row(row, &mut numbers_a)?;
        b.read_row(row, &mut numbers_b)?;
        for (col, (&a, &b)) in numbers_a.iter().zip(&numbers_b).enumerate() {
            if a != b && !(a.is_nan() && b.is_nan()) {
                count += 1;
                first.get_or_insert(([row, col], [a, b]));
                let difference = (f64::from(a) - f64::from(b)).abs();
                largest = largest.max(if difference.is_nan() { f64::INFINITY } else { difference });
            }
        }
    }
    Ok(first.map(|(at, values)| Difference::Values { count, at, values, largest }))
}
