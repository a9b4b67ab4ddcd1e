//! Attention and rotary positions.

use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[("RotaryEmbedding", |n| one(rotary(n)))];

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
