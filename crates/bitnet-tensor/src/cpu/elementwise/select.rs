//! One of two elements, by a condition: a movement of bytes, whatever the type.

use bitnet_kernels::parallel;

use crate::BitNetTensor;
use crate::cpu::GRAIN;
use crate::cpu::movement::{as_bits, as_bits_mut};
use crate::cpu::spans::{Scratch, Spans};
use crate::error::Result;

pub(in crate::cpu) fn where_(
    condition: &BitNetTensor,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    fn typed<T: crate::dtype::Number>(
        condition: &BitNetTensor,
        a: &BitNetTensor,
        b: &BitNetTensor,
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let spans = Spans::new(out.shape(), [condition.layout(), a.layout(), b.layout()]);
        let condition = condition.host_data::<u8>()?;
        let (a, b) = (a.host_data::<T>()?, b.host_data::<T>()?);
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, GRAIN, |i, chunk| {
            let mut scratch = Scratch::new();
            let (mut scratch_a, mut scratch_b) = (Scratch::new(), Scratch::new());
            spans.walk(i * GRAIN, chunk.len(), |at, span| {
                let out = &mut chunk[at..][..span.length()];
                let condition = span.operand(0, condition, &mut scratch);
                let a = span.operand(1, a, &mut scratch_a);
                let b = span.operand(2, b, &mut scratch_b);
                for (n, out) in out.iter_mut().enumerate() {
                    *out = if condition.at(n) != 0 { a.at(n) } else { b.at(n) };
                }
            });
        });
        Ok(())
    }
    let (condition, a, b) = (&as_bits(condition)?, &as_bits(a)?, &as_bits(b)?);
    as_bits_mut(out, |out, size| match size {
        1 => typed::<u8>(condition, a, b, out),
        2 => typed::<u16>(condition, a, b, out),
        4 => typed::<u32>(condition, a, b, out),
        _ => typed::<u64>(condition, a, b, out),
    })
}
