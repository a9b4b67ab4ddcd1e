//! Joining tensors: a movement of bytes, whatever the type.

use bitnet_kernels::parallel;

use super::bits::{bits_as_they_are, with_bits_mut};
use crate::BitNetTensor;
use crate::cpu::GRAIN;
use crate::dtype::Number;
use crate::error::Result;
use crate::shape::count;

pub(in crate::cpu) fn cat(
    axis: usize,
    inputs: &[&BitNetTensor],
    out: &mut BitNetTensor,
) -> Result<()> {
    fn typed<T: Number>(
        axis: usize,
        inputs: &[BitNetTensor],
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let inner = count(&out.shape()[axis + 1..]);
        let row = count(&out.shape()[axis..]);
        if out.element_count() == 0 {
            return Ok(());
        }
        let inputs: Vec<BitNetTensor> =
            inputs.iter().map(|input| input.contiguous()).collect::<Result<_>>()?;
        // Where in a row of the result each input begins, how many of its elements that are.
        let mut parts: Vec<(usize, usize, &[T])> = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for input in &inputs {
            let length = input.shape()[axis] * inner;
            if length > 0 {
                parts.push((start, length, input.as_slice::<T>()?));
            }
            start += length;
        }
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, GRAIN, |i, mut chunk| {
            let mut at = i * GRAIN;
            while !chunk.is_empty() {
                let (number, within) = (at / row, at % row);
                let part = parts.partition_point(|&(start, ..)| start <= within) - 1;
                let (start, length, input) = parts[part];
                let here = chunk.len().min(start + length - within);
                let (now, rest) = std::mem::take(&mut chunk).split_at_mut(here);
                now.copy_from_slice(&input[number * length + within - start..][..here]);
                (chunk, at) = (rest, at + here);
            }
        });
        Ok(())
    }
    let inputs: Vec<BitNetTensor> = inputs.iter().map(|input| bits_as_they_are(input)).collect();
    with_bits_mut!(out, T => typed::<T>(axis, &inputs, out))
}
