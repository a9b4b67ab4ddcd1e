//! What each operation means, written as the formula is written.
//!
//! Operands are arrays of `f64` in row-major order. Results are rounded to the output's type
//! once, by the caller. Nothing here is fast, and nothing here is clever.

mod elementwise;
mod linalg;
mod movement;
mod neural;
mod order;
mod quantization;
mod reduction;

use crate::BitNetDType;
use crate::ops::{GateKind, Op, UnaryKind};

use elementwise::{binary, integer_binary, integer_bits, unary, wrap};
use linalg::{linear, matmul, scale_rows};
use movement::{cat, gather, index_select, scatter, slice_scatter, write_rows};
use neural::{attention, layer_norm, rms_norm, rope, softmax};
use quantization::{by_groups, quantize_activation, ternarize};
use reduction::{arg_extreme, reduce};

/// An operand: its sizes, its type and its elements in row-major order.
pub(super) struct Array {
    pub shape: Vec<usize>,
    pub dtype: BitNetDType,
    pub values: Vec<f64>,
}

impl Array {
    fn at(&self, index: &[usize]) -> f64 {
        self.values[flat(&self.shape, index)]
    }

    /// The element that broadcasting puts at `index` of a larger shape.
    fn broadcast_at(&self, index: &[usize]) -> f64 {
        let own = &index[index.len() - self.shape.len()..];
        let own: Vec<usize> = own
            .iter()
            .zip(&self.shape)
            .map(|(&at, &size)| if size == 1 { 0 } else { at })
            .collect();
        self.at(&own)
    }

    fn last(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        // Counted from the shape: rows without elements are rows too.
        let leading = &self.shape[..self.shape.len().saturating_sub(1)];
        let count: usize = leading.iter().product();
        (0..count).map(|row| &self.values[row * self.last()..][..self.last()])
    }
}

fn flat(shape: &[usize], index: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |position, (&at, &size)| position * size + at)
}

/// All indices of `shape` in row-major order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let count: usize = shape.iter().product();
    let shape = shape.to_vec();
    (0..count).map(move |mut n| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = n % shape[axis];
            n /= shape[axis];
        }
        index
    })
}

fn broadcast_shape(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own])
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (1, b) => b,
            (a, _) => a,
        })
        .collect()
}

/// The outputs of `op`, or why these values have none.
pub(super) fn evaluate(op: &Op, inputs: &[Array]) -> Result<Vec<Vec<f64>>, String> {
    let x = inputs.first().ok_or("there is no operand")?;
    let one = |values: Vec<f64>| Ok(vec![values]);
    match op {
        Op::Unary(op) => match integer_bits(x.dtype) {
            None => one(x.values.iter().map(|&x| unary(op.0, x)).collect()),
            bits => one(x
                .values
                .iter()
                .map(|&x| match op.0 {
                    // Longer than the 53 bits of an f64.
                    UnaryKind::Square => wrap((x as i128).wrapping_mul(x as i128), bits),
                    kind => wrap(unary(kind, x) as i128, bits),
                })
                .collect()),
        },
        Op::Binary(op) => {
            let b = &inputs[1];
            let shape = broadcast_shape(&x.shape, &b.shape);
            let pairs = indices(&shape).map(|i| (x.broadcast_at(&i), b.broadcast_at(&i)));
            // Truth values are the bytes 0 and 1.
            let bits = match x.dtype {
                BitNetDType::Bool => Some((8, false)),
                dtype => integer_bits(dtype),
            };
            match bits {
                None => one(pairs.map(|(a, b)| binary(op.0, a, b)).collect()),
                // A product of two u32 is longer than the 53 bits of an f64.
                bits => {
                    let results = pairs
                        .map(|(a, b)| Ok(wrap(integer_binary(op.0, a as i128, b as i128)?, bits)));
                    results.collect::<Result<_, String>>().and_then(one)
                }
            }
        }
        Op::Compare(op) => {
            let b = &inputs[1];
            let shape = broadcast_shape(&x.shape, &b.shape);
            let pairs = indices(&shape);
            let holds = |i: Vec<usize>| op.0.holds(x.broadcast_at(&i), b.broadcast_at(&i));
            one(pairs.map(|i| f64::from(u8::from(holds(i)))).collect())
        }
        Op::Where(_) => {
            let (a, b) = (&inputs[1], &inputs[2]);
            let shape = broadcast_shape(&x.shape, &broadcast_shape(&a.shape, &b.shape));
            let chosen = |i: Vec<usize>| {
                let source = if x.broadcast_at(&i) != 0.0 { a } else { b };
                source.broadcast_at(&i)
            };
            one(indices(&shape).map(chosen).collect())
        }
        Op::Gate(op) => {
            let kind = match op.0 {
                GateKind::ReluSquared => UnaryKind::ReluSquared,
                GateKind::Silu => UnaryKind::Silu,
            };
            one(x.values.iter().zip(&inputs[1].values).map(|(&g, &u)| unary(kind, g) * u).collect())
        }
        Op::Cast(op) => {
            let bits = if x.dtype.is_integer() { integer_bits(op.0) } else { None };
            one(x
                .values
                .iter()
                .map(|&x| if bits.is_some() { wrap(x as i128, bits) } else { x })
                .collect())
        }
        Op::Copy(_) => one(x.values.clone()),
        Op::Bitcast(_) => Err("the bits stay where they are: a view of every device".into()),
        Op::View(view) => one(movement::view(view, x)),
        Op::Softmax(_) => one(x.rows().flat_map(softmax).collect()),
        Op::LayerNorm(op) => one(layer_norm(x, [&inputs[1], &inputs[2]], op.eps)),
        Op::RmsNorm(op) => one(rms_norm(x, &inputs[1], op.eps)),
        Op::RmsNormQuantize(op) => {
            // The quantizer reads f32: the norm's result is rounded to it first.
            let normed =
                rms_norm(x, &inputs[1], op.eps).iter().map(|&x| f64::from(x as f32)).collect();
            Ok(quantize_activation(&Array {
                shape: x.shape.clone(),
                dtype: x.dtype,
                values: normed,
            }))
        }
        Op::QuantizeActivation(_) => Ok(quantize_activation(x)),
        Op::Ternarize(_) if x.values.iter().any(|w| !w.is_finite()) => {
            Err("a weight is NaN or infinite".into())
        }
        Op::Ternarize(_) => Ok(ternarize(x)),
        Op::StraightThrough(_) => one(inputs[1].values.clone()),
        Op::Reduce(op) => one(reduce(op.kind, &op.axes, x)),
        Op::ArgExtreme(op) => one(arg_extreme(op.axis, op.largest, x)),
        Op::Variance(op) => one(reduction::variance(op, x)),
        Op::Norm(op) => one(reduction::norm(op, x)),
        Op::LogSumExp(op) => one(reduction::logsumexp(op, x)),
        Op::Cumulative(op) => Ok(order::cumulative(op, x)),
        Op::Sort(op) => Ok(order::sort(op, x)),
        Op::UniqueRows(_) => Ok(order::unique_rows(x)),
        Op::SearchSorted(op) => one(order::search_sorted(op, x, &inputs[1])),
        Op::Cat(op) => one(cat(op.axis, inputs)),
        Op::IndexSelect(op) => index_select(op.axis, x, &inputs[1]).and_then(one),
        Op::Gather(op) => gather(op.axis, x, &inputs[1]).and_then(one),
        Op::Scatter(op) => {
            scatter(op.axis, op.kind, x, &inputs[1], &inputs[2]).and_then(|values| {
                match integer_bits(x.dtype) {
                    None => one(values),
                    bits => one(values.into_iter().map(|n| wrap(n as i128, bits)).collect()),
                }
            })
        }
        Op::SliceScatter(op) => one(slice_scatter(&op.slices, x, &inputs[1])),
        Op::WriteRows(_) => write_rows(x, &inputs[1], &inputs[2]).map(|values| vec![values]),
        Op::MatMul(_) => match integer_bits(x.dtype) {
            None => one(matmul(x, &inputs[1])),
            bits => one(linalg::matmul_wrapping(x, &inputs[1], bits)),
        },
        Op::MatMulI32(_) => one(matmul(x, &inputs[1])),
        Op::Decomposition(op) => linalg::decomposition(*op, inputs),
        Op::Linear(_) if inputs[1].dtype.is_packed() => {
            one(linear(&by_groups(x), x.last(), &inputs[1]))
        }
        Op::Linear(_) => one(linear(x, x.last(), &inputs[1])),
        Op::PackedLinear(op) => {
            // The weight has been read as code × scale.
            let sums = linear(x, op.features, &inputs[3]);
            one(scale_rows(&sums, &inputs[1].values))
        }
        Op::LinearInt8(op) => {
            let sums = linear(x, op.features, &inputs[3]);
            let scaled = scale_rows(&sums, &inputs[1].values);
            let out = inputs[4].values.len();
            one(scaled.iter().enumerate().map(|(n, y)| y * inputs[4].values[n % out]).collect())
        }
        Op::Rope(op) => {
            rope(op.mode, x, &inputs[1], &inputs[2], &inputs[3]).map(|values| vec![values])
        }
        Op::Attention(op) => {
            attention(x, &inputs[1], &inputs[2], &inputs[3], op.scale).map(|values| vec![values])
        }
    }
}

fn in_range(position: f64, size: usize) -> Result<usize, String> {
    let position = position as usize;
    if position < size { Ok(position) } else { Err(format!("{position} is outside of {size}")) }
}
