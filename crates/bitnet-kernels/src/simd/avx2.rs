//! The AVX2 and AVX-VNNI tiers of x86-64: one code but for the integer dot products.

use std::arch::x86_64::*;

use super::float::{Float, LANES};
use super::{Kernel, Simd};

/// Proof that the running CPU has this tier's features. Made only by [`run`] and [`run_vnni`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>(());

impl Simd for Avx2<false> {}
impl Simd for Avx2<true> {}

/// Lanes 0 to 7 and 8 to 15.
type Pair = [__m256; 2];

/// The same of integers.
type Ints = [__m256i; 2];

impl<const VNNI: bool> Float for Avx2<VNNI> {
    type F32 = Pair;
    type I32 = Ints;
    type Mask = Pair;
    const WIDE: bool = false;

    intrinsics! {
        splat(x: f32) -> Pair = [_mm256_set1_ps(x); 2];
        load(x: &[f32; LANES]) -> Pair =
            [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))];
        store(v: Pair, out: &mut [f32; LANES]) = {
            _mm256_storeu_ps(out.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), v[1]);
        };
        load_bf16(x: &[u16; LANES]) -> Pair = {
            let x: *const __m128i = x.as_ptr().cast();
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(x));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.add(1)));
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            ]
        };
        load_f16(x: &[u16; LANES]) -> Pair = {
            let x: *const __m128i = x.as_ptr().cast();
            [_mm256_cvtph_ps(_mm_loadu_si128(x)), _mm256_cvtph_ps(_mm_loadu_si128(x.add(1)))]
        };
        store_f16(v: Pair, out: &mut [u16; LANES]) = {
            let out: *mut __m128i = out.as_mut_ptr().cast();
            _mm_storeu_si128(out, _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v[0]));
            _mm_storeu_si128(out.add(1), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v[1]));
        };
        store_i8(v: Pair, out: &mut [i8; LANES]) = {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let (low, high) =
                (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(out.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        };
        add(a: Pair, b: Pair) -> Pair = [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])];
        sub(a: Pair, b: Pair) -> Pair = [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])];
        mul(a: Pair, b: Pair) -> Pair = [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])];
        div(a: Pair, b: Pair) -> Pair = [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])];
        max(a: Pair, b: Pair) -> Pair = [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])];
        min(a: Pair, b: Pair) -> Pair = [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])];
        sqrt(a: Pair) -> Pair = [_mm256_sqrt_ps(a[0]), _mm256_sqrt_ps(a[1])];
        abs(a: Pair) -> Pair = {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
        };
        neg(a: Pair) -> Pair = {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_xor_ps(a[0], sign), _mm256_xor_ps(a[1], sign)]
        };
        round(a: Pair) -> Pair = [
            _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a[0]),
            _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a[1]),
        ];
        pow2(n: Pair) -> Pair = {
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_add_epi32(_mm256_cvtps_epi32(n[0]), bias);
            let high = _mm256_add_epi32(_mm256_cvtps_epi32(n[1]), bias);
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high)),
            ]
        };
        less(a: Pair, b: Pair) -> Pair =
            [_mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])];
        is_nan(a: Pair) -> Pair =
            [_mm256_cmp_ps::<_CMP_UNORD_Q>(a[0], a[0]), _mm256_cmp_ps::<_CMP_UNORD_Q>(a[1], a[1])];
        select(mask: Pair, a: Pair, b: Pair) -> Pair =
            [_mm256_blendv_ps(b[0], a[0], mask[0]), _mm256_blendv_ps(b[1], a[1], mask[1])];
        any(mask: Pair) -> bool = _mm256_movemask_ps(_mm256_or_ps(mask[0], mask[1])) != 0;
        int_splat(x: i32) -> Ints = [_mm256_set1_epi32(x); 2];
        to_bits(a: Pair) -> Ints = [_mm256_castps_si256(a[0]), _mm256_castps_si256(a[1])];
        float_of_bits(a: Ints) -> Pair = [_mm256_castsi256_ps(a[0]), _mm256_castsi256_ps(a[1])];
        to_int(a: Pair) -> Ints = [_mm256_cvtps_epi32(a[0]), _mm256_cvtps_epi32(a[1])];
        float_of_int(a: Ints) -> Pair = [_mm256_cvtepi32_ps(a[0]), _mm256_cvtepi32_ps(a[1])];
        int_sub(a: Ints, b: Ints) -> Ints =
            [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])];
        int_xor(a: Ints, b: Ints) -> Ints =
            [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])];
        int_shl(a: Ints, n: i32) -> Ints = {
            let n = _mm_cvtsi32_si128(n);
            [_mm256_sll_epi32(a[0], n), _mm256_sll_epi32(a[1], n)]
        };
        int_shr(a: Ints, n: i32) -> Ints = {
            let n = _mm_cvtsi32_si128(n);
            [_mm256_sra_epi32(a[0], n), _mm256_sra_epi32(a[1], n)]
        };
        lookup(table: &[f32; 2 * LANES], index: Ints) -> Pair =
            [lookup_eight(table, index[0]), lookup_eight(table, index[1])];
    }

    /// The tree of `reduce_add`, each step taking two vectors into one.
    #[inline(always)]
    fn reduce_add_each(self, v: &[Pair; LANES]) -> Pair {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            let mut by4 = [v[0][0]; 8];
            for i in 0..8 {
                let a = _mm256_add_ps(v[i][0], v[i][1]);
                let b = _mm256_add_ps(v[i + 8][0], v[i + 8][1]);
                by4[i] = _mm256_add_ps(
                    _mm256_permute2f128_ps::<0x20>(a, b),
                    _mm256_permute2f128_ps::<0x31>(a, b),
                );
            }
            let mut by2 = [v[0][0]; 4];
            for i in 0..4 {
                let (a, b) = (by4[2 * i], by4[2 * i + 1]);
                by2[i] =
                    _mm256_add_ps(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b));
            }
            let mut by1 = [v[0][0]; 2];
            for i in 0..2 {
                let (a, b) = (by2[2 * i], by2[2 * i + 1]);
                by1[i] =
                    _mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b));
            }
            let [a, b] = by1; // sums 0–3 and 8–11, 4–7 and 12–15
            [_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)]
        }
    }
}

/// Four permutations of eight entries each; the index's bits 3 and 4 choose among them.
///
/// # Safety
/// The CPU must have Avx2.
#[inline(always)]
unsafe fn lookup_eight(table: &[f32; 2 * LANES], index: __m256i) -> __m256 {
    // SAFETY: the caller's promise; the table has four times eight entries.
    unsafe {
        let mut parts = [_mm256_setzero_ps(); 4];
        for (n, part) in parts.iter_mut().enumerate() {
            *part = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr().add(8 * n)), index);
        }
        // The sign bit decides.
        let bit3 = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index));
        let bit4 = _mm256_castsi256_ps(_mm256_slli_epi32::<27>(index));
        let low = _mm256_blendv_ps(parts[0], parts[1], bit3);
        let high = _mm256_blendv_ps(parts[2], parts[3], bit3);
        _mm256_blendv_ps(low, high, bit4)
    }
}

/// Runs `kernel` compiled with this tier's instructions.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::<false>(()))
}

/// Runs `kernel` compiled with this tier's instructions and AVX-VNNI.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(crate) unsafe fn run_vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::<true>(()))
}
