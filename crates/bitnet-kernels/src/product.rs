//! From integer sums to results: the last step of every product of quantized operands.

/// Turns sums of consecutive rows of one token into elements of the result.
pub(crate) trait Finish<T>: Copy + Sync {
    /// Writes `out[i]` from `sums[i]`, the sum of row `first_row + i`.
    fn finish(self, sums: &[i32], first_row: usize, token: usize, out: &mut [T]);
}

/// The sums themselves.
#[derive(Clone, Copy)]
pub(crate) struct Sums;

impl Finish<i32> for Sums {
    #[inline(always)]
    fn finish(self, sums: &[i32], _first_row: usize, _token: usize, out: &mut [i32]) {
        out.copy_from_slice(sums);
    }
}

/// Sum · (scale of the row · scale of the token): one formula, so that all kernels and tiers
/// round alike.
#[derive(Clone, Copy)]
pub(crate) struct Scaled<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) tokens: &'a [f32],
}

impl Finish<f32> for Scaled<'_> {
    #[inline(always)]
    fn finish(self, sums: &[i32], first_row: usize, token: usize, out: &mut [f32]) {
        let scales = &self.rows[first_row..][..sums.len()];
        let token_scale = self.tokens[token];
        for ((out, &sum), &scale) in out.iter_mut().zip(sums).zip(scales) {
            *out = sum as f32 * (scale * token_scale);
        }
    }
}
