//! Rotary embedding and attention: strided heads become the views that the kernels take.

use bitnet_kernels::Cpu;
use bitnet_kernels::attention::{self as kernels, View4};
use bitnet_kernels::rope::{RopeMode, RopeShape, rope_rows};

use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn rope(
    mode: RopeMode,
    x: &BitNetTensor,
    tables: [&BitNetTensor; 2],
    positions: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let [cos, sin] = [tables[0].contiguous()?, tables[1].contiguous()?];
    let positions = positions.contiguous()?;
    check_positions("rope", x, &positions, cos.shape()[0])?;
    if out.element_count() == 0 {
        return Ok(());
    }
    // The kernel takes heads that follow each other within a token; anything else is copied.
    let (batch, tokens, heads, head_dim) = sizes(x);
    let strides = x.layout().strides();
    let adjacent = (head_dim == 1 || strides[3] == 1)
        && (heads == 1 || strides[2] == head_dim as isize)
        && (tokens == 1 || strides[1] >= (heads * head_dim) as isize)
        && strides[0] >= 0;
    let x = if adjacent { x.clone() } else { x.copy()? };
    let strides = x.layout().strides();
    let token_stride = if tokens == 1 { heads * head_dim } else { strides[1] as usize };
    let shape = RopeShape { tokens, heads, head_dim, token_stride };
    let (data, offset) = (x.host_data::<f32>()?, x.layout().offset());
    let (cos, sin) = (cos.as_slice()?, sin.as_slice()?);
    let positions = positions.as_slice::<u32>()?;
    let per_sequence = tokens * heads * head_dim;
    let reach = (tokens - 1) * token_stride + heads * head_dim;
    for (b, out) in out.try_mut::<f32>()?.chunks_exact_mut(per_sequence).enumerate().take(batch) {
        let start = offset + b * strides[0] as usize;
        let x = &data[start..][..reach];
        rope_rows(mode, shape, x, cos, sin, &positions[b * tokens..][..tokens], out);
    }
    Ok(())
}

pub(in crate::cpu) fn attention(
    cpu: Cpu,
    [q, k, v]: [&BitNetTensor; 3],
    positions: &BitNetTensor,
    scale: f32,
    out: &mut BitNetTensor,
) -> Result<()> {
    let positions = positions.contiguous()?;
    check_positions("attention", q, &positions, k.shape()[1])?;
    if out.element_count() == 0 {
        return Ok(());
    }
    let [q, k, v] = [with_dense_heads(q)?, with_dense_heads(k)?, with_dense_heads(v)?];
    kernels::attention(
        cpu,
        view(&q)?,
        view(&k)?,
        view(&v)?,
        positions.as_slice()?,
        scale,
        out.try_mut()?,
    );
    Ok(())
}

/// The tensor, copied when the elements of a head are not neighbours or it runs backwards.
fn with_dense_heads(x: &BitNetTensor) -> Result<BitNetTensor> {
    let strides = x.layout().strides();
    let head_dim = x.shape()[3];
    let dense = (head_dim == 1 || strides[3] == 1) && strides.iter().all(|&stride| stride >= 0);
    if dense { Ok(x.clone()) } else { x.copy() }
}

fn view(x: &BitNetTensor) -> Result<View4<'_>> {
    let (batch, tokens, heads, head_dim) = sizes(x);
    let mut strides: [usize; 4] = std::array::from_fn(|axis| x.layout().strides()[axis] as usize);
    strides[3] = 1;
    let data = &x.host_data::<f32>()?[x.layout().offset()..];
    Ok(View4 { data, dims: [batch, tokens, heads, head_dim], strides })
}

fn sizes(x: &BitNetTensor) -> (usize, usize, usize, usize) {
    (x.shape()[0], x.shape()[1], x.shape()[2], x.shape()[3])
}

fn check_positions(
    name: &'static str,
    x: &BitNetTensor,
    positions: &BitNetTensor,
    capacity: usize,
) -> Result<()> {
    debug_assert_eq!(positions.dtype(), BitNetDType::U32);
    match positions.as_slice::<u32>()?.iter().find(|&&position| position as usize >= capacity) {
        None => Ok(()),
        Some(position) => {
            bail!(
                ComputationError,
                name,
                &[x, positions],
                "position {position} is outside of {capacity}"
            )
        }
    }
}
