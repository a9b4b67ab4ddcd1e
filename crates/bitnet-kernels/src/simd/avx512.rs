//! The AVX-512 tiers of x86-64: one code, which differs where VBMI makes it shorter.

use std::arch::x86_64::*;

use super::float::{Float, LANES};
use super::{Kernel, Simd};

/// Proof that the running CPU has this tier's features. Made only by [`run`] and [`run_vbmi`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<const VBMI: bool>(());

impl<const VBMI: bool> Simd for Avx512<VBMI> {}

impl<const VBMI: bool> Float for Avx512<VBMI> {
    type F32 = __m512;
    type I32 = __m512i;
    type Mask = __mmask16;
    const WIDE: bool = true;

    intrinsics! {
        splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        load(x: &[f32; LANES]) -> __m512 = _mm512_loadu_ps(x.as_ptr());
        store(v: __m512, out: &mut [f32; LANES]) = _mm512_storeu_ps(out.as_mut_ptr(), v);
        load_bf16(x: &[u16; LANES]) -> __m512 = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(
            _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()))));
        load_f16(x: &[u16; LANES]) -> __m512 =
            _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast()));
        store_f16(v: __m512, out: &mut [u16; LANES]) = _mm256_storeu_si256(
            out.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
        store_i8(v: __m512, out: &mut [i8; LANES]) = _mm_storeu_si128(
            out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        sqrt(a: __m512) -> __m512 = _mm512_sqrt_ps(a);
        abs(a: __m512) -> __m512 = _mm512_abs_ps(a);
        neg(a: __m512) -> __m512 = _mm512_xor_ps(a, _mm512_set1_ps(-0.0));
        round(a: __m512) -> __m512 =
            _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        pow2(n: __m512) -> __m512 = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(
            _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127))));
        less(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        is_nan(a: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
        select(mask: __mmask16, a: __m512, b: __m512) -> __m512 =
            _mm512_mask_blend_ps(mask, b, a);
        int_splat(x: i32) -> __m512i = _mm512_set1_epi32(x);
        to_bits(a: __m512) -> __m512i = _mm512_castps_si512(a);
        float_of_bits(a: __m512i) -> __m512 = _mm512_castsi512_ps(a);
        to_int(a: __m512) -> __m512i = _mm512_cvtps_epi32(a);
        float_of_int(a: __m512i) -> __m512 = _mm512_cvtepi32_ps(a);
        int_sub(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        int_xor(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        int_shl(a: __m512i, n: i32) -> __m512i = _mm512_sll_epi32(a, _mm_cvtsi32_si128(n));
        int_shr(a: __m512i, n: i32) -> __m512i = _mm512_sra_epi32(a, _mm_cvtsi32_si128(n));
        lookup(table: &[f32; 2 * LANES], index: __m512i) -> __m512 = _mm512_permutex2var_ps(
            _mm512_loadu_ps(table.as_ptr()), index, _mm512_loadu_ps(table.as_ptr().add(LANES)));
    }

    #[inline(always)]
    fn any(self, mask: __mmask16) -> bool {
        mask != 0
    }

    /// The tree of `reduce_add`, each step taking two vectors into one: 15 additions and 30
    /// shuffles for sixteen sums.
    #[inline(always)]
    fn reduce_add_each(self, v: &[__m512; LANES]) -> __m512 {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            // The shuffles below deliver the sums with the two bits of the 128-bit block's
            // number, and of the number inside the block, reversed; so are the inputs taken.
            const REVERSED: [usize; LANES] = [0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15];
            let mut by8 = [v[0]; 8];
            for i in 0..8 {
                let (a, b) = (v[REVERSED[i]], v[REVERSED[i + 8]]);
                by8[i] = _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0x44>(a, b),
                    _mm512_shuffle_f32x4::<0xee>(a, b),
                );
            }
            let mut by4 = [v[0]; 4];
            for i in 0..4 {
                let (a, b) = (by8[i], by8[i + 4]);
                by4[i] = _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0x88>(a, b),
                    _mm512_shuffle_f32x4::<0xdd>(a, b),
                );
            }
            let mut by2 = [v[0]; 2];
            for i in 0..2 {
                let (a, b) = (by4[i], by4[i + 2]);
                by2[i] =
                    _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
            }
            let [a, b] = by2;
            _mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b))
        }
    }
}

/// Runs `kernel` compiled with this tier's instructions.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<false>(()))
}

/// Runs `kernel` compiled with this tier's instructions and VBMI.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
pub(crate) unsafe fn run_vbmi<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<true>(()))
}
