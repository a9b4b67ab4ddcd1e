//! Conversion between `f32` and the sixteen-bit floats, to nearest even.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::Cpu;
use crate::simd::{Kernel, LANES, Simd};

/// Widens bf16 numbers; exact.
///
/// # Panics
/// If the lengths differ.
pub fn bf16_to_f32(cpu: Cpu, x: &[bf16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "bf16_to_f32: lengths differ");
    cpu.run(Widen { x: x.reinterpret_cast(), f16: false, out });
}

/// Widens f16 numbers; exact.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use bitnet_kernels::{Cpu, convert::f16_to_f32};
/// let mut out = [0.0; 2];
/// f16_to_f32(Cpu::best(), &[half::f16::ONE, half::f16::MAX], &mut out);
/// assert_eq!(out, [1.0, 65504.0]);
/// ```
pub fn f16_to_f32(cpu: Cpu, x: &[f16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "f16_to_f32: lengths differ");
    cpu.run(Widen { x: x.reinterpret_cast(), f16: true, out });
}

/// Narrows to bf16, to nearest even. NaN stays NaN.
///
/// # Panics
/// If the lengths differ.
pub fn f32_to_bf16(cpu: Cpu, x: &[f32], out: &mut [bf16]) {
    assert_eq!(x.len(), out.len(), "f32_to_bf16: lengths differ");
    cpu.run(Narrow { x, f16: false, out: out.reinterpret_cast_mut() });
}

/// Narrows to f16, to nearest even; numbers from 65520 on become infinite, tiny ones
/// subnormal or zero. NaN stays NaN.
///
/// # Panics
/// If the lengths differ.
pub fn f32_to_f16(cpu: Cpu, x: &[f32], out: &mut [f16]) {
    assert_eq!(x.len(), out.len(), "f32_to_f16: lengths differ");
    cpu.run(Narrow { x, f16: true, out: out.reinterpret_cast_mut() });
}

struct Widen<'a> {
    x: &'a [u16],
    f16: bool,
    out: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (chunks, tail) = self.x.as_chunks::<LANES>();
        let (outs, out_tail) = self.out.as_chunks_mut::<LANES>();
        for (out, x) in outs.iter_mut().zip(chunks) {
            s.store(widen(s, x, self.f16), out);
        }
        let mut padded = [0; LANES];
        padded[..tail.len()].copy_from_slice(tail);
        s.store_partial(widen(s, &padded, self.f16), out_tail);
    }
}

#[inline(always)]
fn widen<S: Simd>(s: S, x: &[u16; LANES], f16: bool) -> S::F32 {
    if f16 { s.load_f16(x) } else { s.load_bf16(x) }
}

struct Narrow<'a> {
    x: &'a [f32],
    f16: bool,
    out: &'a mut [u16],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if !self.f16 {
            // Integer arithmetic that the compiler vectorises.
            for (out, x) in self.out.iter_mut().zip(self.x) {
                let bits = x.to_bits();
                let quiet = (bits >> 16) as u16 | 0x40;
                let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
                *out = if x.is_nan() { quiet } else { rounded };
            }
            return;
        }
        let (chunks, tail) = self.x.as_chunks::<LANES>();
        let (outs, out_tail) = self.out.as_chunks_mut::<LANES>();
        for (out, x) in outs.iter_mut().zip(chunks) {
            s.store_f16(s.load(x), out);
        }
        let mut narrowed = [0; LANES];
        s.store_f16(s.load_partial(tail, 0.0), &mut narrowed);
        out_tail.copy_from_slice(&narrowed[..tail.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use half::slice::HalfBitsSliceExt;

    #[test]
    fn every_sixteen_bit_number_widens_as_half_says() {
        let all: Vec<u16> = (0..=u16::MAX).chain([1, 2, 3]).collect();
        let (b, h): (&[bf16], &[f16]) = (all.reinterpret_cast(), all.reinterpret_cast());
        for &cpu in Cpu::available() {
            let mut out = vec![0.0; all.len()];
            bf16_to_f32(cpu, b, &mut out);
            let expected: Vec<f32> = b.iter().map(|v| v.to_f32()).collect();
            assert_eq!(reference::bits(&out), reference::bits(&expected), "{cpu}");
            f16_to_f32(cpu, h, &mut out);
            let expected: Vec<f32> = h.iter().map(|v| v.to_f32()).collect();
            assert_eq!(reference::bits(&out), reference::bits(&expected), "{cpu}");
        }
    }

    #[test]
    fn narrowing_rounds_as_half_says() {
        let mut x = reference::awkward_floats(100_001, 1);
        x.extend((0..100_000).map(|i| f32::from_bits(0x3300_0000 + i * 2771)));
        for &cpu in Cpu::available() {
            let mut b = vec![bf16::ZERO; x.len()];
            let mut h = vec![f16::ZERO; x.len()];
            f32_to_bf16(cpu, &x, &mut b);
            f32_to_f16(cpu, &x, &mut h);
            for ((&x, b), h) in x.iter().zip(b).zip(h) {
                let (eb, eh) = (bf16::from_f32(x), f16::from_f32(x));
                assert!(b.to_bits() == eb.to_bits() || b.is_nan() && eb.is_nan(), "{x}: {b}");
                assert!(h.to_bits() == eh.to_bits() || h.is_nan() && eh.is_nan(), "{x}: {h}");
            }
        }
    }
}
