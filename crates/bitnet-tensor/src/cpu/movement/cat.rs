//! Joining tensors: a movement of bytes, whatever the type.

use super::bits::{bits_as_they_are, with_bits_mut};
use crate::BitNetTensor;
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
        let out = out.try_mut::<T>()?;
        let mut start = 0;
        for input in inputs {
            let length = input.shape()[axis].saturating_mul(inner);
            let input = input.contiguous()?;
            if length > 0 && row > 0 {
                let rows = input.as_slice::<T>()?.chunks_exact(length);
                for (out, input) in out.chunks_exact_mut(row).zip(rows) {
                    out[start..][..length].copy_from_slice(input);
                }
            }
            start = start.saturating_add(length);
        }
        Ok(())
    }
    let inputs: Vec<BitNetTensor> = inputs.iter().map(|input| bits_as_they_are(input)).collect();
    with_bits_mut!(out, T => typed::<T>(axis, &inputs, out))
}
