//! The NEON tiers of AArch64: one code but for the integer dot products.

use std::arch::aarch64::*;
use std::arch::asm;

use super::float::{Float, LANES};
use super::{Kernel, Simd};

/// Proof that the running CPU has this tier's features: NEON, with `dotprod`, and with `i8mm` too.
/// Made only by [`run`], [`run_dotprod`] and [`run_i8mm`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon<const DOTPROD: bool, const I8MM: bool>(());

impl Simd for Neon<false, false> {}
impl Simd for Neon<true, false> {}
impl Simd for Neon<true, true> {}

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
type Quad = [float32x4_t; 4];

/// The same of integers.
type Ints = [int32x4_t; 4];

/// The same of truth values: all bits or none.
type Masks = [uint32x4_t; 4];

impl<const DOTPROD: bool, const I8MM: bool> Float for Neon<DOTPROD, I8MM> {
    type F32 = Quad;
    type I32 = Ints;
    type Mask = Masks;
    const WIDE: bool = false;

    intrinsics_by_register! { 4;
        splat(x: f32) -> Quad, _i = vdupq_n_f32(x);
        load(x: &[f32; LANES]) -> Quad, i = vld1q_f32(x.as_ptr().add(4 * i));
        load_bf16(x: &[u16; LANES]) -> Quad, i =
            vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(x.as_ptr().add(4 * i))));
        load_f16(x: &[u16; LANES]) -> Quad, i = widen_f16(vld1_u16(x.as_ptr().add(4 * i)));
        add(a: Quad, b: Quad) -> Quad, i = vaddq_f32(a[i], b[i]);
        sub(a: Quad, b: Quad) -> Quad, i = vsubq_f32(a[i], b[i]);
        mul(a: Quad, b: Quad) -> Quad, i = vmulq_f32(a[i], b[i]);
        div(a: Quad, b: Quad) -> Quad, i = vdivq_f32(a[i], b[i]);
        // Not `vmaxq_f32`, which gives NaN where either is, and the greater of two zeros.
        max(a: Quad, b: Quad) -> Quad, i = vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]);
        min(a: Quad, b: Quad) -> Quad, i = vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i]);
        sqrt(a: Quad) -> Quad, i = vsqrtq_f32(a[i]);
        abs(a: Quad) -> Quad, i = vabsq_f32(a[i]);
        neg(a: Quad) -> Quad, i = vnegq_f32(a[i]);
        round(a: Quad) -> Quad, i = vrndnq_f32(a[i]);
        pow2(n: Quad) -> Quad, i = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(
            vcvtq_s32_f32(n[i]), vdupq_n_s32(127))));
        less(a: Quad, b: Quad) -> Masks, i = vcltq_f32(a[i], b[i]);
        is_nan(a: Quad) -> Masks, i = vmvnq_u32(vceqq_f32(a[i], a[i]));
        select(mask: Masks, a: Quad, b: Quad) -> Quad, i = vbslq_f32(mask[i], a[i], b[i]);
        int_splat(x: i32) -> Ints, _i = vdupq_n_s32(x);
        to_bits(a: Quad) -> Ints, i = vreinterpretq_s32_f32(a[i]);
        float_of_bits(a: Ints) -> Quad, i = vreinterpretq_f32_s32(a[i]);
        to_int(a: Quad) -> Ints, i = vcvtq_s32_f32(a[i]);
        float_of_int(a: Ints) -> Quad, i = vcvtq_f32_s32(a[i]);
        int_sub(a: Ints, b: Ints) -> Ints, i = vsubq_s32(a[i], b[i]);
        int_xor(a: Ints, b: Ints) -> Ints, i = veorq_s32(a[i], b[i]);
        int_shl(a: Ints, n: i32) -> Ints, i = vshlq_s32(a[i], vdupq_n_s32(n));
        // A shift to the left by less than zero is one to the right, of signed numbers.
        int_shr(a: Ints, n: i32) -> Ints, i = vshlq_s32(a[i], vdupq_n_s32(-n));
    }

    #[inline(always)]
    fn store(self, v: Quad, out: &mut [f32; LANES]) {
        for (part, v) in out.as_chunks_mut::<4>().0.iter_mut().zip(v) {
            // SAFETY: `self` proves NEON; a store of four numbers.
            unsafe { vst1q_f32(part.as_mut_ptr(), v) }
        }
    }

    #[inline(always)]
    fn store_f16(self, v: Quad, out: &mut [u16; LANES]) {
        for (part, v) in out.as_chunks_mut::<4>().0.iter_mut().zip(v) {
            // SAFETY: `self` proves NEON; a store of four numbers.
            unsafe { vst1_u16(part.as_mut_ptr(), narrow_f16(v)) }
        }
    }

    #[inline(always)]
    fn store_i8(self, v: Quad, out: &mut [i8; LANES]) {
        let v = self.to_int(v);
        // SAFETY: `self` proves NEON; a store of sixteen bytes.
        unsafe {
            let low = vcombine_s16(vqmovn_s32(v[0]), vqmovn_s32(v[1]));
            let high = vcombine_s16(vqmovn_s32(v[2]), vqmovn_s32(v[3]));
            vst1q_s8(out.as_mut_ptr(), vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
        }
    }

    /// By maxima of neighbours: of an `or` of comparisons with one number LLVM makes a comparison of
    /// `fmaxnm`, which is NaN where one operand is a signaling one, and so loses the other.
    #[inline(always)]
    fn any(self, mask: Masks) -> bool {
        // SAFETY: `self` proves NEON; register arithmetic only.
        unsafe {
            let (low, high) = (vpmaxq_u32(mask[0], mask[1]), vpmaxq_u32(mask[2], mask[3]));
            vmaxvq_u32(vpmaxq_u32(low, high)) != 0
        }
    }

    /// Two lookups of bytes in half of the table each: an index beyond a half gives zero in the first
    /// and leaves what was in the second.
    #[inline(always)]
    fn lookup(self, table: &[f32; 2 * LANES], index: Ints) -> Quad {
        let start: *const u8 = table.as_ptr().cast();
        // SAFETY: `self` proves NEON; two loads of 64 of the table's 128 bytes.
        unsafe {
            let (low, high) = (vld1q_u8_x4(start), vld1q_u8_x4(start.add(64)));
            let mut found = self.splat(0.0);
            for i in 0..4 {
                // The four bytes of entry n are at 4n, 4n + 1, 4n + 2 and 4n + 3.
                let bytes = vmulq_n_s32(index[i], 0x0404_0404);
                let bytes = vaddq_s32(bytes, vdupq_n_s32(0x0302_0100));
                let bytes = vreinterpretq_u8_s32(bytes);
                let entry = vqtbl4q_u8(low, bytes);
                let entry = vqtbx4q_u8(entry, high, vsubq_u8(bytes, vdupq_n_u8(64)));
                found[i] = vreinterpretq_f32_u8(entry);
            }
            found
        }
    }

    /// The tree of `reduce_add`, whose last two steps take four vectors into one.
    #[inline(always)]
    fn reduce_add_each(self, v: &[Quad; LANES]) -> Quad {
        // SAFETY: `self` proves NEON; register arithmetic only.
        unsafe {
            let mut by4 = [v[0][0]; LANES];
            for i in 0..LANES {
                let [a, b, c, d] = v[i];
                by4[i] = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
            }
            let mut by2 = [v[0][0]; LANES / 2];
            for i in 0..LANES / 2 {
                let (a, b) =
                    (vreinterpretq_f64_f32(by4[2 * i]), vreinterpretq_f64_f32(by4[2 * i + 1]));
                by2[i] = vaddq_f32(
                    vreinterpretq_f32_f64(vzip1q_f64(a, b)),
                    vreinterpretq_f32_f64(vzip2q_f64(a, b)),
                );
            }
            [
                vpaddq_f32(by2[0], by2[1]),
                vpaddq_f32(by2[2], by2[3]),
                vpaddq_f32(by2[4], by2[5]),
                vpaddq_f32(by2[6], by2[7]),
            ]
        }
    }
}

/// Widens f16 bit patterns. (The intrinsic takes a type that is not stable.)
///
/// # Safety
/// The CPU must have NEON.
#[inline(always)]
unsafe fn widen_f16(bits: uint16x4_t) -> float32x4_t {
    let wide;
    // SAFETY: the caller's promise; register arithmetic only.
    unsafe {
        asm!("fcvtl {wide:v}.4s, {bits:v}.4h", wide = lateout(vreg) wide, bits = in(vreg) bits,
            options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// Narrows to f16 bit patterns, to nearest even.
///
/// # Safety
/// The CPU must have NEON.
#[inline(always)]
unsafe fn narrow_f16(x: float32x4_t) -> uint16x4_t {
    let bits;
    // SAFETY: the caller's promise; register arithmetic only.
    unsafe {
        asm!("fcvtn {bits:v}.4h, {x:v}.4s", bits = lateout(vreg) bits, x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags));
    }
    bits
}

/// Runs `kernel` compiled with this tier's instructions.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon::<false, false>(()))
}

/// Runs `kernel` compiled with this tier's instructions and `dotprod`.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "neon,dotprod")]
pub(crate) unsafe fn run_dotprod<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon::<true, false>(()))
}

/// Runs `kernel` compiled with this tier's instructions, `dotprod` and `i8mm`.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(crate) unsafe fn run_i8mm<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon::<true, true>(()))
}
