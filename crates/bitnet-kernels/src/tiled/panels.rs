//! Activations as the register blocks read them.
//!
//! The tokens of a register block are interleaved into a *panel*, four columns of each token in turn,
//! so that the loop over columns reads one contiguous stream.

use std::ops::Range;

use crate::parallel::{self, SharedMut};
use crate::quantized::QuantizedRows;

/// How the tokens are divided into panels: as few as possible, of sizes that differ by at
/// most one.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    tokens: usize,
    pub(super) count: usize,
    padded_cols: usize,
}

impl Panels {
    pub(super) fn new(tokens: usize, max_tokens: usize, padded_cols: usize) -> Panels {
        Panels { tokens, count: tokens.div_ceil(max_tokens), padded_cols }
    }

    /// The tokens of panel `i`; its data are as many times `padded_cols` activations, from
    /// `start · padded_cols` on.
    pub(super) fn tokens(self, i: usize) -> Range<usize> {
        let (size, larger) = (self.tokens / self.count, self.tokens % self.count);
        let start = i * size + i.min(larger);
        start..start + size + usize::from(i < larger)
    }

    fn data_range(self, i: usize) -> Range<usize> {
        let Range { start, end } = self.tokens(i);
        start * self.padded_cols..end * self.padded_cols
    }

    /// The activations of panel `i`: `[k][t]` those of its token `t` for columns `4k .. 4k + 4`.
    ///
    /// # Panics
    /// If the panel has not `Q` tokens.
    #[inline(always)]
    pub(super) fn quads<const Q: usize>(self, data: &[i8], i: usize) -> &[[[i8; 4]; Q]] {
        assert_eq!(self.tokens(i).len(), Q, "tokens of a panel");
        data[self.data_range(i)].as_chunks::<4>().0.as_chunks().0
    }

    /// Writes every panel: columns `4k .. 4k + 4` of its first token, of its second, …
    pub(super) fn interleave(self, x: &QuantizedRows<'_>, data: &mut [i8]) {
        let data = SharedMut::of(data);
        parallel::for_each(self.count, 4, |panels| {
            for i in panels {
                // SAFETY: the data of different panels are disjoint.
                let panel = unsafe { data.range(self.data_range(i)) };
                let panel = panel.as_chunks_mut::<4>().0;
                let tokens = self.tokens(i);
                let size = tokens.len();
                for (t, token) in tokens.enumerate() {
                    let row = x.padded_row(token).as_chunks::<4>().0.iter().copied();
                    // A tile's padding may reach beyond that of the activations.
                    let row = row.chain(std::iter::repeat([0; 4]));
                    for (step, quad) in panel.chunks_exact_mut(size).zip(row) {
                        step[t] = quad;
                    }
                }
            }
        });
    }
}
