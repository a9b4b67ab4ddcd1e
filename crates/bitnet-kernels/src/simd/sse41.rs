//! The SSE4.1 tier of x86-64: processors without AVX.

use std::arch::x86_64::*;

use super::float::{Float, LANES};
use super::{Kernel, Simd};

/// Proof that the running CPU has this tier's features. Made only by [`run`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sse41(());

impl Simd for Sse41 {}

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
type Quad = [__m128; 4];

/// The same of integers.
type Ints = [__m128i; 4];

impl Float for Sse41 {
    type F32 = Quad;
    type I32 = Ints;
    type Mask = Quad;
    const WIDE: bool = false;

    intrinsics_by_register! { 4;
        splat(x: f32) -> Quad, _i = _mm_set1_ps(x);
        load(x: &[f32; LANES]) -> Quad, i = _mm_loadu_ps(x.as_ptr().add(4 * i));
        load_bf16(x: &[u16; LANES]) -> Quad, i = _mm_castsi128_ps(_mm_unpacklo_epi16(
            _mm_setzero_si128(), _mm_loadl_epi64(x.as_ptr().add(4 * i).cast())));
        load_f16(x: &[u16; LANES]) -> Quad, i =
            widen_f16(_mm_cvtepu16_epi32(_mm_loadl_epi64(x.as_ptr().add(4 * i).cast())));
        add(a: Quad, b: Quad) -> Quad, i = _mm_add_ps(a[i], b[i]);
        sub(a: Quad, b: Quad) -> Quad, i = _mm_sub_ps(a[i], b[i]);
        mul(a: Quad, b: Quad) -> Quad, i = _mm_mul_ps(a[i], b[i]);
        div(a: Quad, b: Quad) -> Quad, i = _mm_div_ps(a[i], b[i]);
        max(a: Quad, b: Quad) -> Quad, i = _mm_max_ps(a[i], b[i]);
        min(a: Quad, b: Quad) -> Quad, i = _mm_min_ps(a[i], b[i]);
        sqrt(a: Quad) -> Quad, i = _mm_sqrt_ps(a[i]);
        abs(a: Quad) -> Quad, i = _mm_andnot_ps(_mm_set1_ps(-0.0), a[i]);
        neg(a: Quad) -> Quad, i = _mm_xor_ps(a[i], _mm_set1_ps(-0.0));
        round(a: Quad) -> Quad, i =
            _mm_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a[i]);
        pow2(n: Quad) -> Quad, i = _mm_castsi128_ps(_mm_slli_epi32::<23>(_mm_add_epi32(
            _mm_cvtps_epi32(n[i]), _mm_set1_epi32(127))));
        less(a: Quad, b: Quad) -> Quad, i = _mm_cmplt_ps(a[i], b[i]);
        is_nan(a: Quad) -> Quad, i = _mm_cmpunord_ps(a[i], a[i]);
        select(mask: Quad, a: Quad, b: Quad) -> Quad, i = _mm_blendv_ps(b[i], a[i], mask[i]);
        int_splat(x: i32) -> Ints, _i = _mm_set1_epi32(x);
        to_bits(a: Quad) -> Ints, i = _mm_castps_si128(a[i]);
        float_of_bits(a: Ints) -> Quad, i = _mm_castsi128_ps(a[i]);
        to_int(a: Quad) -> Ints, i = _mm_cvtps_epi32(a[i]);
        float_of_int(a: Ints) -> Quad, i = _mm_cvtepi32_ps(a[i]);
        int_sub(a: Ints, b: Ints) -> Ints, i = _mm_sub_epi32(a[i], b[i]);
        int_xor(a: Ints, b: Ints) -> Ints, i = _mm_xor_si128(a[i], b[i]);
        int_shl(a: Ints, n: i32) -> Ints, i = _mm_sll_epi32(a[i], _mm_cvtsi32_si128(n));
        int_shr(a: Ints, n: i32) -> Ints, i = _mm_sra_epi32(a[i], _mm_cvtsi32_si128(n));
    }

    #[inline(always)]
    fn store(self, v: Quad, out: &mut [f32; LANES]) {
        for (part, v) in out.as_chunks_mut::<4>().0.iter_mut().zip(v) {
            // SAFETY: `self` proves SSE; a store of four numbers.
            unsafe { _mm_storeu_ps(part.as_mut_ptr(), v) }
        }
    }

    #[inline(always)]
    fn store_f16(self, v: Quad, out: &mut [u16; LANES]) {
        let start = out.as_mut_ptr();
        // SAFETY: `self` proves SSE4.1; two stores of half of `out` each.
        unsafe {
            let low = _mm_packus_epi32(narrow_f16(v[0]), narrow_f16(v[1]));
            let high = _mm_packus_epi32(narrow_f16(v[2]), narrow_f16(v[3]));
            _mm_storeu_si128(start.cast(), low);
            _mm_storeu_si128(start.add(8).cast(), high);
        }
    }

    #[inline(always)]
    fn store_i8(self, v: Quad, out: &mut [i8; LANES]) {
        let v = self.to_int(v);
        // SAFETY: `self` proves SSE2; a store of sixteen bytes.
        unsafe {
            let (low, high) = (_mm_packs_epi32(v[0], v[1]), _mm_packs_epi32(v[2], v[3]));
            _mm_storeu_si128(out.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        }
    }

    #[inline(always)]
    fn any(self, mask: Quad) -> bool {
        // SAFETY: `self` proves SSE; register arithmetic only.
        unsafe {
            let (low, high) = (_mm_or_ps(mask[0], mask[1]), _mm_or_ps(mask[2], mask[3]));
            _mm_movemask_ps(_mm_or_ps(low, high)) != 0
        }
    }

    /// One by one: a shuffle reaches four entries, and blends of eight of them cost more.
    #[inline(always)]
    fn lookup(self, table: &[f32; 2 * LANES], index: Ints) -> Quad {
        let mut entries = [0.0; LANES];
        for (four, index) in entries.as_chunks_mut::<4>().0.iter_mut().zip(index) {
            let mut places = [0u32; 4];
            // SAFETY: `self` proves SSE2; a store of four numbers.
            unsafe { _mm_storeu_si128(places.as_mut_ptr().cast(), index) };
            for (entry, place) in four.iter_mut().zip(places) {
                *entry = table[place as usize % (2 * LANES)];
            }
        }
        self.load(&entries)
    }

    /// The tree of `reduce_add`, whose last two steps take four vectors into one.
    #[inline(always)]
    fn reduce_add_each(self, v: &[Quad; LANES]) -> Quad {
        // SAFETY: `self` proves SSE; register arithmetic only.
        unsafe {
            let mut by4 = [v[0][0]; LANES];
            for i in 0..LANES {
                let [a, b, c, d] = v[i];
                by4[i] = _mm_add_ps(_mm_add_ps(a, c), _mm_add_ps(b, d));
            }
            let mut by2 = [v[0][0]; LANES / 2];
            for i in 0..LANES / 2 {
                let (a, b) = (by4[2 * i], by4[2 * i + 1]);
                by2[i] = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
            }
            let mut sums = self.splat(0.0);
            for i in 0..LANES / 4 {
                let (a, b) = (by2[2 * i], by2[2 * i + 1]);
                sums[i] = _mm_add_ps(_mm_shuffle_ps::<0x88>(a, b), _mm_shuffle_ps::<0xdd>(a, b));
            }
            sums
        }
    }
}

/// Widens f16 bit patterns in lanes of 32 bits: exponent and fraction move to their places, and a
/// product with the ratio of the biases, exact for subnormal numbers too, gives the value.
///
/// # Safety
/// The CPU must have SSE2.
#[inline(always)]
unsafe fn widen_f16(bits: __m128i) -> __m128 {
    const RATIO: f32 = f32::from_bits((127 + 127 - 15) << 23);
    // SAFETY: the caller's promise; register arithmetic only.
    unsafe {
        let magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fff));
        let placed = _mm_slli_epi32::<13>(magnitude);
        let value = _mm_mul_ps(_mm_castsi128_ps(placed), _mm_set1_ps(RATIO));
        // Infinity and NaN keep the highest exponent; the quiet bit is set as instructions do.
        let is_special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));
        let exponent = _mm_and_si128(is_special, _mm_set1_epi32(0x7f80_0000));
        let is_nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7c00));
        let quiet = _mm_and_si128(is_nan, _mm_set1_epi32(0x0040_0000));
        let sign = _mm_slli_epi32::<16>(_mm_andnot_si128(_mm_set1_epi32(0x7fff), bits));
        let extra = _mm_or_si128(_mm_or_si128(exponent, quiet), sign);
        _mm_or_ps(value, _mm_castsi128_ps(extra))
    }
}

/// Narrows to f16 bit patterns, to nearest even, in lanes of 32 bits.
///
/// # Safety
/// The CPU must have SSE4.1.
#[inline(always)]
unsafe fn narrow_f16(x: __m128) -> __m128i {
    /// The bits of 2¹⁶: from here on, infinity. (65,520 to 2¹⁶ become infinity by rounding up.)
    const OVERFLOW: i32 = (127 + 16) << 23;
    /// The bits of 2⁻¹⁴: below, f16 is subnormal.
    const NORMAL: i32 = (127 - 14) << 23;
    // SAFETY: the caller's promise; register arithmetic only.
    unsafe {
        let bits = _mm_castps_si128(x);
        let magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fff_ffff));
        // Half a unit in the last place less one, and one more for an odd number; then the rest goes.
        let odd = _mm_and_si128(_mm_srli_epi32::<13>(magnitude), _mm_set1_epi32(1));
        let rebased = _mm_sub_epi32(magnitude, _mm_set1_epi32((127 - 15) << 23));
        let rounded = _mm_add_epi32(_mm_add_epi32(rebased, _mm_set1_epi32(0xfff)), odd);
        let normal = _mm_srli_epi32::<13>(rounded);
        // The sum with ½ has the unit of a subnormal f16 as its last place.
        let half = _mm_set1_ps(0.5);
        let sum = _mm_add_ps(_mm_castsi128_ps(magnitude), half);
        let subnormal = _mm_sub_epi32(_mm_castps_si128(sum), _mm_castps_si128(half));
        let is_subnormal = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(NORMAL));
        let finite = _mm_blendv_epi8(normal, subnormal, is_subnormal);
        let is_nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f80_0000));
        let quiet = _mm_and_si128(is_nan, _mm_set1_epi32(0x0200));
        let special = _mm_or_si128(_mm_set1_epi32(0x7c00), quiet);
        let is_special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(OVERFLOW - 1));
        let result = _mm_blendv_epi8(finite, special, is_special);
        let sign = _mm_srli_epi32::<16>(_mm_andnot_si128(_mm_set1_epi32(0x7fff_ffff), bits));
        _mm_or_si128(result, sign)
    }
}

/// Runs `kernel` compiled with this tier's instructions.
///
/// # Safety
/// The CPU must have the features named in the attribute.
#[target_feature(enable = "ssse3,sse4.1")]
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Sse41(()))
}
