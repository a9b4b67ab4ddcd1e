//! What each operation means, written as the formula is written.
//!
//! Operands are arrays of `f64` in row-major order. Results are rounded to the output's type
//! once, by the caller. Nothing here is fast, and nothing here is clever.

use crate::BitNetDType;
use crate::ops::{
    BinaryKind, GateKind, Op, ReduceKind, RopeMode, UnaryKind, View, padded_features,
};

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
        Op::Unary(op) => one(x.values.iter().map(|&x| unary(op.0, x)).collect()),
        Op::Binary(op) => {
            let b = &inputs[1];
            let shape = broadcast_shape(&x.shape, &b.shape);
            let pairs = indices(&shape).map(|i| (x.broadcast_at(&i), b.broadcast_at(&i)));
            match integer_bits(x.dtype) {
                None => one(pairs.map(|(a, b)| binary(op.0, a, b)).collect()),
                // A product of two u32 is longer than the 53 bits of an f64.
                bits => one(pairs
                    .map(|(a, b)| wrap(integer_binary(op.0, a as i128, b as i128), bits))
                    .collect()),
            }
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
        Op::View(view) => one(self::view(view, x)),
        Op::Softmax(_) => one(x.rows().flat_map(softmax).collect()),
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
        Op::Reduce(op) => one(reduce(op.kind, &op.axes, x)),
        Op::ArgMax(_) => one(x.rows().map(argmax).collect()),
        Op::Cat(op) => one(cat(op.axis, inputs)),
        Op::IndexSelect(_) => index_select(x, &inputs[1]).map(|values| vec![values]),
        Op::WriteRows(_) => write_rows(x, &inputs[1], &inputs[2]).map(|values| vec![values]),
        Op::MatMul(_) => one(matmul(x, &inputs[1])),
        Op::Linear(_) => one(linear(x, x.last(), &inputs[1])),
        Op::TernaryLinear(op) => {
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

fn unary(kind: UnaryKind, x: f64) -> f64 {
    match kind {
        UnaryKind::Neg => -x,
        UnaryKind::Abs => x.abs(),
        UnaryKind::Square => x * x,
        UnaryKind::Sqrt => x.sqrt(),
        UnaryKind::Rsqrt => 1.0 / x.sqrt(),
        UnaryKind::Exp => libm::exp(x),
        UnaryKind::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        UnaryKind::ReluSquared => {
            if x < 0.0 {
                0.0
            } else {
                x * x
            }
        }
        UnaryKind::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        UnaryKind::Silu => x / (1.0 + libm::exp(-x)),
        UnaryKind::Tanh => libm::tanh(x),
    }
}

fn binary(kind: BinaryKind, a: f64, b: f64) -> f64 {
    match kind {
        BinaryKind::Add => a + b,
        BinaryKind::Sub => a - b,
        BinaryKind::Mul => a * b,
        BinaryKind::Div => a / b,
        BinaryKind::Max => {
            if a.is_nan() || a > b {
                a
            } else {
                b
            }
        }
        BinaryKind::Min => {
            if a.is_nan() || a < b {
                a
            } else {
                b
            }
        }
    }
}

fn integer_binary(kind: BinaryKind, a: i128, b: i128) -> i128 {
    match kind {
        BinaryKind::Add => a + b,
        BinaryKind::Sub => a - b,
        BinaryKind::Mul => a * b,
        BinaryKind::Max => a.max(b),
        BinaryKind::Min => a.min(b),
        // Shape inference lets only floats be divided.
        BinaryKind::Div => a.checked_div(b).unwrap_or(0),
    }
}

/// Width and signedness of an integer type.
fn integer_bits(dtype: BitNetDType) -> Option<(u32, bool)> {
    let bytes = dtype.size_in_bytes().filter(|_| dtype.is_integer())?;
    Some((8 * bytes as u32, dtype.is_signed_integer()))
}

/// Integers keep their low bits. Exact while the result is exact in `f64`.
fn wrap(value: i128, bits: Option<(u32, bool)>) -> f64 {
    let Some((bits, signed)) = bits else { return value as f64 };
    let low = value & ((1i128 << bits) - 1);
    let negative = signed && low >> (bits - 1) == 1;
    (if negative { low - (1i128 << bits) } else { low }) as f64
}

fn view(view: &View, x: &Array) -> Vec<f64> {
    match view {
        View::Reshape(_) => x.values.clone(),
        View::Permute(axes) => {
            let shape: Vec<usize> = axes.iter().map(|&axis| x.shape[axis]).collect();
            let source = |index: Vec<usize>| {
                let mut own = vec![0; index.len()];
                for (to, &from) in axes.iter().enumerate() {
                    own[from] = index[to];
                }
                x.at(&own)
            };
            indices(&shape).map(source).collect()
        }
        View::Slice { axis, start, length, step } => {
            let mut shape = x.shape.clone();
            shape[*axis] = *length;
            let source = |mut index: Vec<usize>| {
                index[*axis] = (*start as isize + index[*axis] as isize * step) as usize;
                x.at(&index)
            };
            indices(&shape).map(source).collect()
        }
        View::Expand(shape) => indices(shape).map(|index| x.broadcast_at(&index)).collect(),
    }
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|&x| libm::exp(x - max)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn rms_norm(x: &Array, weight: &Array, eps: f32) -> Vec<f64> {
    let normed = |row: &[f64]| {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + f64::from(eps)).sqrt();
        row.iter().zip(&weight.values).map(|(x, w)| x * scale * w).collect::<Vec<_>>()
    };
    x.rows().flat_map(normed).collect()
}

/// Codes, scales and sums of codes. The rounding decisions are made in `f32`, as the models
/// that were trained with it made them.
fn quantize_activation(x: &Array) -> Vec<Vec<f64>> {
    let (mut codes, mut scales, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    let padding = padded_features(x.last()) - x.last();
    for row in x.rows() {
        // What is not finite makes the scale NaN: it spoils every product, as it would in floats.
        let spoiled = row.iter().any(|x| !x.is_finite());
        let magnitude = row.iter().fold(0.0f32, |max, &x| max.max(x.abs() as f32));
        let magnitude = magnitude.clamp(1e-5, f32::MAX);
        let scale = 127.0 / magnitude;
        let code = |x: f64| (x as f32 * scale).round_ties_even().clamp(-128.0, 127.0);
        let quantized = row.iter().map(|&x| if x.is_nan() { 0.0 } else { code(x) });
        let quantized: Vec<f64> = quantized.map(f64::from).collect();
        sums.push(quantized.iter().sum());
        scales.push(if spoiled { f64::NAN } else { f64::from(magnitude / 127.0) });
        codes.extend(quantized);
        codes.extend(std::iter::repeat_n(0.0, padding));
    }
    vec![codes, scales, sums]
}

/// Codes and the scale of each row; rounding decisions as in [`quantize_activation`].
fn ternarize(weight: &Array) -> Vec<Vec<f64>> {
    let mean = weight.values.iter().map(|w| w.abs()).sum::<f64>() / weight.values.len() as f64;
    let scale = (mean as f32).max(1e-5);
    let inverse = 1.0 / scale;
    let code = |&w: &f64| f64::from((w as f32 * inverse).round_ties_even().clamp(-1.0, 1.0));
    vec![weight.values.iter().map(code).collect(), vec![f64::from(scale); weight.shape[0]]]
}

fn reduce(kind: ReduceKind, axes: &[usize], x: &Array) -> Vec<f64> {
    let kept: Vec<usize> = (0..x.shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let out_shape: Vec<usize> = kept.iter().map(|&axis| x.shape[axis]).collect();
    let mut groups = vec![Vec::new(); out_shape.iter().product()];
    for index in indices(&x.shape) {
        let own: Vec<usize> = kept.iter().map(|&axis| index[axis]).collect();
        groups[flat(&out_shape, &own)].push(x.at(&index));
    }
    let value = |group: Vec<f64>| {
        let sum = group.iter().fold(0.0, |sum, x| sum + x); // `sum` of nothing is -0
        match kind {
            ReduceKind::Sum => sum,
            ReduceKind::Mean => sum / group.len() as f64,
            ReduceKind::Max => {
                group.iter().fold(f64::NEG_INFINITY, |a, &b| binary(BinaryKind::Max, a, b))
            }
            ReduceKind::Min => {
                group.iter().fold(f64::INFINITY, |a, &b| binary(BinaryKind::Min, a, b))
            }
        }
    };
    groups.into_iter().map(value).collect()
}

fn argmax(row: &[f64]) -> f64 {
    let best = match row.iter().position(|x| x.is_nan()) {
        Some(nan) => nan,
        None => (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }),
    };
    best as f64
}

fn cat(axis: usize, inputs: &[Array]) -> Vec<f64> {
    let mut shape = inputs[0].shape.clone();
    shape[axis] = inputs.iter().map(|input| input.shape[axis]).sum();
    let source = |mut index: Vec<usize>| {
        for input in inputs {
            if index[axis] < input.shape[axis] {
                return input.at(&index);
            }
            index[axis] -= input.shape[axis];
        }
        f64::NAN // every index is inside one of them
    };
    indices(&shape).map(source).collect()
}

fn in_range(position: f64, size: usize) -> Result<usize, String> {
    let position = position as usize;
    if position < size { Ok(position) } else { Err(format!("{position} is outside of {size}")) }
}

fn index_select(table: &Array, chosen: &Array) -> Result<Vec<f64>, String> {
    let row: usize = table.shape[1..].iter().product();
    let mut values = Vec::new();
    for &index in &chosen.values {
        let index = in_range(index, table.shape[0])?;
        values.extend(&table.values[index * row..][..row]);
    }
    Ok(values)
}

fn write_rows(target: &Array, positions: &Array, rows: &Array) -> Result<Vec<f64>, String> {
    let mut result = target.values.clone();
    for index in indices(&rows.shape) {
        let mut place = index.clone();
        place[1] = in_range(positions.at(&index[..2]), target.shape[1])?;
        result[flat(&target.shape, &place)] = rows.at(&index);
    }
    Ok(result)
}

fn matmul(a: &Array, b: &Array) -> Vec<f64> {
    let (a_batch, a_matrix) = a.shape.split_at(a.shape.len() - 2);
    let (b_batch, b_matrix) = b.shape.split_at(b.shape.len() - 2);
    let mut shape = broadcast_shape(a_batch, b_batch);
    shape.extend([a_matrix[0], b_matrix[1]]);
    let element = |index: Vec<usize>| {
        let (batch, place) = index.split_at(index.len() - 2);
        let product = |k: usize| {
            let left: Vec<usize> = batch.iter().copied().chain([place[0], k]).collect();
            let right: Vec<usize> = batch.iter().copied().chain([k, place[1]]).collect();
            a.broadcast_at(&left) * b.broadcast_at(&right)
        };
        (0..a_matrix[1]).map(product).sum()
    };
    indices(&shape).map(element).collect()
}

/// `Σ_k x[t][k]·w[o][k]` over the first `features` of each row of `x`.
fn linear(x: &Array, features: usize, weight: &Array) -> Vec<f64> {
    let (out, inner) = (weight.shape[0], weight.shape[1]);
    let tokens: usize = x.shape[..x.shape.len() - 1].iter().product();
    let mut values = Vec::new();
    for t in 0..tokens {
        let row = &x.values[t * x.last()..][..features];
        for o in 0..out {
            let weights = &weight.values[o * inner..][..inner];
            values.push(row.iter().zip(weights).map(|(x, w)| x * w).sum());
        }
    }
    values
}

fn scale_rows(values: &[f64], scales: &[f64]) -> Vec<f64> {
    let columns = values.len().checked_div(scales.len()).unwrap_or(0).max(1);
    values
        .chunks(columns)
        .zip(scales)
        .flat_map(|(row, scale)| row.iter().map(move |x| x * scale))
        .collect()
}

fn rope(
    mode: RopeMode,
    x: &Array,
    cos: &Array,
    sin: &Array,
    positions: &Array,
) -> Result<Vec<f64>, String> {
    let half = x.last() / 2;
    let mut result = Vec::new();
    for index in indices(&x.shape) {
        let position = in_range(positions.at(&index[..2]), cos.shape[0])?;
        let d = index[3];
        // The pair (first, second) turns to (first·cos − second·sin, second·cos + first·sin).
        let (pair, partner, is_first) = match mode {
            RopeMode::RotateHalf => (d % half, (d + half) % (2 * half), d < half),
            RopeMode::AdjacentPairs => (d / 2, d ^ 1, d % 2 == 0),
        };
        let mut other = index.clone();
        other[3] = partner;
        let (c, s) = (cos.at(&[position, pair]), sin.at(&[position, pair]));
        let turned = if is_first { -x.at(&other) } else { x.at(&other) };
        result.push(x.at(&index) * c + turned * s);
    }
    Ok(result)
}

fn attention(
    q: &Array,
    k: &Array,
    v: &Array,
    positions: &Array,
    scale: f32,
) -> Result<Vec<f64>, String> {
    let (heads, kv_heads, head_dim) = (q.shape[2], k.shape[2], q.shape[3]);
    let mut result = Vec::new();
    for index in indices(&q.shape[..3]) {
        let (b, t, h) = (index[0], index[1], index[2]);
        let shared = h / (heads / kv_heads);
        let visible = in_range(positions.at(&[b, t]), k.shape[1])? + 1;
        let score = |key: usize| {
            let dot: f64 =
                (0..head_dim).map(|d| q.at(&[b, t, h, d]) * k.at(&[b, key, shared, d])).sum();
            dot * f64::from(scale)
        };
        let weights = softmax(&(0..visible).map(score).collect::<Vec<_>>());
        for d in 0..head_dim {
            let mean =
                weights.iter().enumerate().map(|(key, w)| w * v.at(&[b, key, shared, d])).sum();
            result.push(mean);
        }
    }
    Ok(result)
}
