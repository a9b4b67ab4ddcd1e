//! Attention and rotary positions.

use bitnet_tensor::BitNetDType::{Bool, I64};
use bitnet_tensor::ops::PadMode;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::counting;
use crate::{Adapters, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Attention", attention),
    ("LinearAttention", linear_attention),
    ("RotaryEmbedding", |n| one(rotary(n))),
];

/// `[batch, tokens, heads · size]` as `[batch, heads, tokens, size]`.
fn split_heads(x: &BitNetTensor, heads: usize) -> Result<BitNetTensor> {
    let (batch, tokens, width) = (x.shape()[0], x.shape()[1], x.shape()[2]);
    x.reshape([batch, tokens, heads, width / heads])?.transpose(1, 2)
}

fn join_heads(x: &BitNetTensor) -> Result<BitNetTensor> {
    let (batch, tokens) = (x.shape()[0], x.shape()[2]);
    let width = x.shape()[1] * x.shape()[3];
    x.transpose(1, 2)?.reshape([batch, tokens, width])
}

/// Which query may see which key: `[queries, keys]`, or `[batch, 1, queries, keys]` when every
/// entry of the batch has its own length.
fn visible(case: &Case, queries: usize, keys: usize) -> Result<Option<BitNetTensor>> {
    let (left, right) =
        (case.integer("left_window_size", -1), case.integer("right_window_size", -1));
    let lengths = match case.given(6) {
        Some(lengths) => {
            let count = lengths.element_count();
            Some(lengths.to_dtype(I64)?.reshape([count, 1, 1, 1])?)
        }
        None => None,
    };
    let query = counting(queries)?.reshape([queries, 1])?;
    let key = counting(keys)?.reshape([1, keys])?;
    // The position of a query among the keys.
    let position = match (case.given(4), &lengths) {
        (None, Some(lengths)) => query.add(&lengths.sub(queries)?)?,
        (Some(past), _) => query.add(past.shape()[2])?,
        (None, None) => query,
    };
    let mut conditions = Vec::new();
    if case.flag("is_causal", false) {
        conditions.push(key.le(&position)?);
    }
    if left >= 0 {
        conditions.push(position.sub(&key)?.le(left)?);
    }
    if right >= 0 {
        conditions.push(key.sub(&position)?.le(right)?);
    }
    if let Some(lengths) = &lengths {
        conditions.push(key.lt(lengths)?);
    }
    let mut all = conditions.into_iter();
    let Some(first) = all.next() else { return Ok(None) };
    all.try_fold(first, |all, condition| all.logical_and(&condition)).map(Some)
}

/// What is added to the scores, −∞ where nothing may be seen.
fn bias(case: &Case, dtype: BitNetDType, queries: usize, keys: usize) -> Result<BitNetTensor> {
    let zero = BitNetTensor::zeros([queries, keys], dtype)?;
    let never = BitNetTensor::scalar(f64::NEG_INFINITY)?.to_dtype(dtype)?;
    let mut sum = zero.clone();
    if let Some(mask) = case.given(3) {
        let missing = keys - mask.shape()[mask.rank() - 1];
        let mut pads = vec![(0, 0); mask.rank()];
        pads[mask.rank() - 1] = (0, missing);
        sum = if mask.dtype() == Bool {
            let mask = mask.pad(&pads, PadMode::Constant(0.0))?;
            mask.where_(&zero, &never)?
        } else {
            sum.add(&mask.pad(&pads, PadMode::Constant(f64::NEG_INFINITY))?)?
        };
    }
    match visible(case, queries, keys)? {
        Some(visible) => sum.add(&visible.where_(&zero, &never)?),
        None => Ok(sum),
    }
}

/// Of half types in F32, rounded once.
fn product(a: &BitNetTensor, b: &BitNetTensor) -> Result<BitNetTensor> {
    let wide = |x: &BitNetTensor| x.to_dtype(BitNetDType::F32);
    wide(a)?.matmul(&wide(b)?)?.to_dtype(a.dtype())
}

fn attention(case: &Case) -> Outcome {
    let flat = case.x(0).rank() == 3;
    let heads = |x: &BitNetTensor, name: &str| match flat {
        true => split_heads(x, case.integer(name, 1) as usize),
        false => Ok(x.clone()),
    };
    let q = heads(case.x(0), "q_num_heads")?;
    let (k, v) = (heads(case.x(1), "kv_num_heads")?, heads(case.x(2), "kv_num_heads")?);
    let joined = |past: Option<&BitNetTensor>, x: BitNetTensor| match past {
        Some(past) => BitNetTensor::cat(&[past, &x], 2),
        None => Ok(x),
    };
    let (k, v) = (joined(case.given(4), k)?, joined(case.given(5), v)?);
    let (queries, keys) = (q.shape()[2], k.shape()[2]);
    let dtype = q.dtype();

    let softcap = case.float("softcap", 0.0);
    let scale = case.float("scale", 1.0 / (q.shape()[3] as f64).sqrt()).sqrt();
    let group = q.shape()[1] / k.shape()[1];
    let shared = |x: &BitNetTensor| match group {
        1 => Ok(x.clone()),
        _ => x.repeat_interleave(group, 1),
    };
    let plain = softcap == 0.0 && case.outputs.len() < 4 && !case.has("softmax_precision");
    let bias = bias(case, dtype, queries, keys)?;
    if plain {
        let scale = Some(scale * scale);
        let y = q.scaled_dot_product_attention(&k, &v, Some(&bias), false, scale)?;
        let y = if flat { join_heads(&y)? } else { y };
        return Ok(vec![y, k, v]);
    }
    let scores = product(&q.mul(scale)?, &shared(&k)?.mul(scale)?.transpose(2, 3)?)?;
    let capped = match softcap > 0.0 {
        true => scores.div(softcap)?.tanh()?.mul(softcap)?,
        false => scores.clone(),
    };
    let biased = capped.add(&bias)?;
    let precise = biased.to_dtype(case.dtype("softmax_precision").unwrap_or(dtype))?;
    // A query that sees nothing gets nothing.
    let sees = bias.max(&[-1], true)?.ne(f64::NEG_INFINITY)?;
    let weights = precise.softmax(-1)?.to_dtype(dtype)?;
    let weights = sees.where_(&weights, 0)?;
    let y = product(&weights, &shared(&v)?)?;
    let y = if flat { join_heads(&y)? } else { y };
    let shown = match case.integer("qk_matmul_output_mode", 0) {
        0 => scores,
        1 => capped,
        2 => biased,
        _ => weights,
    };
    Ok(vec![y, k, v, shown])
}

/// A state that forgets, is corrected, written and read, token by token, in F32.
fn linear_attention(case: &Case) -> Outcome {
    let (query_heads, heads) =
        (case.integer("q_num_heads", 1) as usize, case.integer("kv_num_heads", 1) as usize);
    let wide = |n: usize, heads: usize| split_heads(case.x(n), heads)?.to_dtype(BitNetDType::F32);
    let (q, k, v) = (wide(0, query_heads)?, wide(1, heads)?, wide(2, heads)?);
    let (batch, tokens) = (q.shape()[0], q.shape()[2]);
    let (key_size, value_size) = (k.shape()[3], v.shape()[3]);
    let dtype = case.x(0).dtype();
    let mut state = match case.given(3) {
        Some(state) => state.to_dtype(BitNetDType::F32)?,
        None => BitNetTensor::zeros([batch, heads, key_size, value_size], BitNetDType::F32)?,
    };
    let rule = case.text("update_rule", "gated_delta");
    let decay = match rule.starts_with("gated") {
        true => Some(wide(4, heads)?.exp()?),
        false => None,
    };
    let beta = match rule.ends_with("delta") {
        true => Some(wide(5, case.x(5).shape()[2])?),
        false => None,
    };
    let given = case.float("scale", 0.0);
    let scale = if given == 0.0 { 1.0 / (key_size as f64).sqrt() } else { given };
    let mut rows = Vec::new();
    for token in 0..tokens {
        let at = |x: &BitNetTensor| x.narrow(2, token, 1);
        let column = at(&k)?.transpose(2, 3)?;
        let mut written = at(&v)?;
        if let Some(decay) = &decay {
            state = state.mul(&at(decay)?.transpose(2, 3)?)?;
        }
        if let Some(beta) = &beta {
            let known = at(&k)?.matmul(&state)?;
            written = written.sub(&known)?.mul(&at(beta)?)?;
        }
        state = state.add(&column.matmul(&written)?)?;
        let read = state.repeat_interleave(query_heads / heads, 1)?;
        rows.push(at(&q)?.matmul(&read)?.mul(scale)?);
    }
    let y = BitNetTensor::cat(&rows.iter().collect::<Vec<_>>(), 2)?;
    let state_dtype = case.given(3).map_or(dtype, BitNetTensor::dtype);
    Ok(vec![join_heads(&y)?.to_dtype(dtype)?, state.to_dtype(state_dtype)?])
}

/// Pairs of the leading elements of each head turned; the rest stays.
fn rotary(case: &Case) -> Result<BitNetTensor> {
    let flat = case.x(0).rank() == 3;
    let x = match flat {
        true => split_heads(case.x(0), case.integer("num_heads", 1) as usize)?,
        false => case.x(0).clone(),
    };
    let size = x.shape()[3];
    let turned = match case.integer("rotary_embedding_dim", 0) as usize {
        0 => size,
        turned => turned,
    };
    let table = |n: usize| {
        let table = match case.given(3) {
            Some(positions) => case.x(n).index_select(0, positions)?,
            None => case.x(n).clone(),
        };
        table.unsqueeze(1)
    };
    let (cos, sin) = (table(1)?, table(2)?);
    let part = x.narrow(3, 0, turned)?;
    let half = turned / 2;
    let interleaved = case.flag("interleaved", false);
    let (a, b) = match interleaved {
        true => (part.slice(3, 0, half, 2)?, part.slice(3, 1, half, 2)?),
        false => (part.narrow(3, 0, half)?, part.narrow(3, half, half)?),
    };
    let real = a.mul(&cos)?.sub(&b.mul(&sin)?)?;
    let imaginary = a.mul(&sin)?.add(&b.mul(&cos)?)?;
    let part = match interleaved {
        true => BitNetTensor::stack(&[&real, &imaginary], -1)?.reshape(part.shape().clone())?,
        false => BitNetTensor::cat(&[&real, &imaginary], 3)?,
    };
    let y = BitNetTensor::cat(&[&part, &x.narrow(3, turned, size - turned)?], 3)?;
    if flat { join_heads(&y) } else { Ok(y) }
}
