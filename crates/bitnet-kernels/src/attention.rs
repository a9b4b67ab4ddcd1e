//! Causal grouped-query attention over a key/value cache.
//!
//! The softmax is computed online: keys are taken in blocks of 64, blocks are gathered into
//! segments of 256, and segments are merged in order, all at fixed absolute positions. A
//! query's arithmetic therefore depends on its own position only: a prompt read whole, in
//! chunks or token by token gives the same bits, and a long context can be split between
//! threads at the segments.
//!
//! The rows of a tile are the query heads that share one key/value head, for several tokens:
//! keys and values that lie in the first-level cache serve all of them.

use std::ops::Range;

use crate::Cpu;
use crate::dense::tile::{self, F32, Line};
use crate::elementwise::math;
use crate::parallel::{self, SharedMut};
use crate::simd::{Kernel, LANES, Simd};

/// Keys whose scores are computed before they are exponentiated.
const KEY_BLOCK: usize = 64;

/// Keys that can be handed to another thread.
const SEGMENT: usize = 256;

/// Query rows (tokens × heads of a group) of a tile, about.
const TILE_ROWS: usize = 32;

/// A view of four dimensions: batch, tokens (or cache lines), heads, head_dim.
///
/// Element (b, t, h, d) is `data[b·strides[0] + t·strides[1] + h·strides[2] + d]`.
#[derive(Debug, Clone, Copy)]
pub struct View4<'a> {
    /// The buffer that the view lies in; element (0, 0, 0, 0) is its first.
    pub data: &'a [f32],
    /// Batch, tokens, heads, head_dim.
    pub dims: [usize; 4],
    /// Elements from one index to the next, per dimension; the last must be 1.
    pub strides: [usize; 4],
}

impl<'a> View4<'a> {
    /// A contiguous view.
    ///
    /// # Panics
    /// If the size overflows. (Its agreement with the data is checked where it is used.)
    pub fn contiguous(data: &'a [f32], dims: [usize; 4]) -> Self {
        let mut strides = [1; 4];
        for i in (0..3).rev() {
            let stride = dims[i + 1].checked_mul(strides[i + 1]);
            strides[i] = stride.expect("attention: the view's size overflows");
        }
        View4 { data, dims, strides }
    }

    /// Panics unless every element lies in the buffer.
    fn check(&self, name: &str) {
        assert_eq!(self.strides[3], 1, "attention: the heads of {name} are not contiguous");
        if self.dims.contains(&0) {
            return;
        }
        let dims = self.dims.iter().zip(&self.strides);
        let last = dims.into_iter().try_fold(0usize, |last, (&dim, &stride)| {
            last.checked_add((dim - 1).checked_mul(stride)?)
        });
        assert!(
            last.is_some_and(|last| last < self.data.len()),
            "attention: {name} reaches outside its buffer of {}",
            self.data.len()
        );
    }

    #[inline(always)]
    fn head(&self, batch: usize, token: usize, head: usize) -> &'a [f32] {
        let [b, t, h, _] = self.strides;
        &self.data[batch * b + token * t + head * h..][..self.dims[3]]
    }
}

/// `out = softmax(scale · q · kᵀ) · v`, each query over the keys up to its position.
///
/// - `q`: batch, tokens, heads, head_dim.
/// - `k`, `v`: batch, capacity, kv_heads, head_dim; query head `h` reads key/value head
///   `h / (heads / kv_heads)`.
/// - `positions`: batch × tokens; a query sees the cache lines `0..=position`. Lines beyond
///   every query's position are not read, and no line beyond a query's own position
///   influences its result, whatever it holds.
/// - `out`: contiguous batch, tokens, heads, head_dim.
///
/// # Panics
/// If dimensions or lengths are not consistent, or a position is not below the capacity.
///
/// ```
/// use bitnet_kernels::{Cpu, attention::{View4, attention}};
/// let q = View4::contiguous(&[1.0, 0.0], [1, 1, 1, 2]);
/// let k = View4::contiguous(&[0.0; 6], [1, 3, 1, 2]); // equal scores: the mean of the values
/// let v = View4::contiguous(&[1.0, 2.0, 3.0, 4.0, f32::NAN, f32::NAN], [1, 3, 1, 2]);
/// let mut out = [0.0; 2];
/// attention(Cpu::best(), q, k, v, &[1], 0.7, &mut out);
/// assert_eq!(out, [2.0, 3.0]);
/// ```
pub fn attention(
    cpu: Cpu,
    q: View4<'_>,
    k: View4<'_>,
    v: View4<'_>,
    positions: &[u32],
    scale: f32,
    out: &mut [f32],
) {
    let [batch, tokens, heads, head_dim] = q.dims;
    let [_, capacity, kv_heads, _] = k.dims;
    assert_eq!(k.dims, v.dims, "attention: keys and values differ in shape");
    assert!(k.dims[0] == batch && k.dims[3] == head_dim, "attention: queries and keys differ");
    let len = q.dims.iter().try_fold(1usize, |len, &dim| len.checked_mul(dim));
    assert_eq!(len, Some(out.len()), "attention: length of the output");
    assert_eq!(batch.checked_mul(tokens), Some(positions.len()), "attention: positions");
    if out.is_empty() {
        return;
    }
    assert!(kv_heads > 0 && heads % kv_heads == 0, "attention: {heads} heads on {kv_heads}");
    let longest = positions.iter().fold(0, |longest, &p| longest.max(p as usize));
    assert!(longest < capacity, "attention: position {longest} in a cache of {capacity}");
    q.check("the queries");
    k.check("the keys");
    v.check("the values");

    let group = heads / kv_heads;
    let call = Call { q, k, v, positions, scale, group, lines: head_dim.div_ceil(LANES) };
    let tile_tokens = (TILE_ROWS / group).max(1);
    let tiles = tokens.div_ceil(tile_tokens);
    let tasks = batch * kv_heads * tiles;
    let tile = |task: usize| {
        // The last tokens see the most keys: they come first.
        let start = (tiles - 1 - task % tiles) * tile_tokens;
        let tokens = start..tokens.min(start + tile_tokens);
        Tile::of(&call, task / tiles / kv_heads, task / tiles % kv_heads, tokens)
    };
    let segments = longest / SEGMENT + 1;
    let out = SharedMut::of(out);
    if segments == 1 || tasks >= 4 * parallel::num_threads() {
        // Several tasks to a piece while they are small.
        let work = (longest + 1).saturating_mul(head_dim * group * tile_tokens.min(tokens));
        parallel::for_each(tasks, ((1 << 14) / work).max(1), |range| {
            range.for_each(|task| cpu.run(Whole { tile: tile(task), out }));
        });
        return;
    }
    // Few queries, many keys: each segment apart, and then the merging, in the same order.
    let stride = tile_tokens.min(tokens) * group * (call.lines + 1);
    let mut parts = vec![Line::ZERO; tasks * segments * stride];
    parallel::for_each_chunk_mut(&mut parts, stride, |index, part| {
        let (tile, segment) = (tile(index / segments), index % segments);
        cpu.run(Part { tile, segment, part });
    });
    for (task, parts) in parts.chunks_exact(segments * stride).enumerate() {
        cpu.run(Merge { tile: tile(task), parts, stride, out });
    }
}

struct Call<'a> {
    q: View4<'a>,
    k: View4<'a>,
    v: View4<'a>,
    positions: &'a [u32],
    scale: f32,
    /// Query heads of a key/value head.
    group: usize,
    /// Lines of a head.
    lines: usize,
}

/// The queries of some tokens that read one key/value head.
struct Tile<'a> {
    call: &'a Call<'a>,
    batch: usize,
    kv_head: usize,
    tokens: Range<usize>,
    /// The query of each row, head by head for each token.
    queries: Vec<&'a [f32]>,
    /// How many keys each row sees.
    visible: Vec<usize>,
}

/// All of a tile's work.
struct Whole<'a> {
    tile: Tile<'a>,
    out: SharedMut<'a, f32>,
}

/// A tile's work on one segment; `part` is the state of its rows.
struct Part<'a> {
    tile: Tile<'a>,
    segment: usize,
    part: &'a mut [Line],
}

/// Merging the states of a tile's segments.
struct Merge<'a> {
    tile: Tile<'a>,
    parts: &'a [Line],
    stride: usize,
    out: SharedMut<'a, f32>,
}

impl Kernel for Whole<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let tile = self.tile;
        let len = tile.rows() * (tile.call.lines + 1);
        let mut memory = vec![Line::ZERO; 2 * len + tile.rows() * (KEY_BLOCK / LANES)];
        let (total, rest) = memory.split_at_mut(len);
        let (state, scores) = rest.split_at_mut(len);
        for segment in 0..=tile.last_key() / SEGMENT {
            tile.segment(s, segment, state, scores);
            tile.merge(s, segment, state, total);
        }
        tile.write(s, total, self.out);
    }
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut scores = vec![Line::ZERO; self.tile.rows() * (KEY_BLOCK / LANES)];
        self.tile.segment(s, self.segment, self.part, &mut scores);
    }
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut total = vec![Line::ZERO; self.stride];
        for (segment, part) in self.parts.chunks_exact(self.stride).enumerate() {
            self.tile.merge(s, segment, part, &mut total);
        }
        self.tile.write(s, &total, self.out);
    }
}

// The state of a row is `lines` lines of Σ p·v, and one line with the largest score and Σ p.
const MAX: usize = 0;
const SUM: usize = 1;

impl<'a> Tile<'a> {
    fn of(call: &'a Call<'a>, batch: usize, kv_head: usize, tokens: Range<usize>) -> Tile<'a> {
        let rows = tokens.len() * call.group;
        let (mut queries, mut visible) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for token in tokens.clone() {
            for head in kv_head * call.group..(kv_head + 1) * call.group {
                queries.push(call.q.head(batch, token, head));
                visible.push(call.positions[batch * call.q.dims[1] + token] as usize + 1);
            }
        }
        Tile { call, batch, kv_head, tokens, queries, visible }
    }

    #[inline(always)]
    fn rows(&self) -> usize {
        self.queries.len()
    }

    #[inline(always)]
    fn last_key(&self) -> usize {
        self.visible.iter().fold(0, |last, &visible| last.max(visible - 1))
    }

    /// A row's query; beyond the last row, that one's.
    #[inline(always)]
    fn query(&self, row: usize) -> &'a [f32] {
        self.queries[row.min(self.queries.len() - 1)]
    }

    /// The state of every row over the keys of one segment.
    #[inline(always)]
    fn segment<S: Simd>(&self, s: S, segment: usize, state: &mut [Line], scores: &mut [Line]) {
        for row in state.chunks_exact_mut(self.call.lines + 1) {
            row.fill(Line::ZERO);
            row[self.call.lines].0[MAX] = f32::NEG_INFINITY;
        }
        let end = ((segment + 1) * SEGMENT).min(self.last_key() + 1);
        for block in (segment * SEGMENT..end).step_by(KEY_BLOCK) {
            self.scores(s, block..end.min(block + KEY_BLOCK), Line::flatten_mut(scores));
            self.exponentials(s, block, state, scores);
            self.add_values(s, block, state, Line::flatten(scores));
        }
    }

    /// How many keys of a block a row sees.
    #[inline(always)]
    fn visible_in(&self, block: usize, row: usize) -> usize {
        self.visible[row].saturating_sub(block).min(KEY_BLOCK)
    }

    /// Scaled products of the rows' queries with the `keys` of a block.
    #[inline(always)]
    fn scores<S: Simd>(&self, s: S, keys: Range<usize>, scores: &mut [f32]) {
        let rows = self.rows();
        for first in keys.clone().step_by(4) {
            let quad: [&[f32]; 4] = std::array::from_fn(|c| {
                let key = (first + c).min(keys.end - 1);
                self.call.k.head(self.batch, key, self.kv_head)
            });
            self.prefetch(s, first..(first + 4).min(keys.end));
            let column = first - keys.start;
            for row in (0..rows).step_by(4) {
                let count = (rows - row).min(4);
                if self.visible[row..row + count].iter().all(|&visible| visible <= first) {
                    continue;
                }
                let products = if count == 1 {
                    let mut sums = [[s.splat(0.0); 4]];
                    tile::accumulate::<S, F32, 1, 4>(s, [self.query(row)], quad, &mut sums);
                    let mut products = [0.0; LANES];
                    products[..4].copy_from_slice(&tile::reduce_1x4(s, &sums));
                    products
                } else {
                    let mut sums = [[s.splat(0.0); 4]; 4];
                    let queries = std::array::from_fn(|r| self.query(row + r));
                    tile::accumulate_4x4::<S, F32>(s, queries, quad, &mut sums);
                    tile::reduce_4x4(s, &sums)
                };
                for r in 0..count {
                    for c in 0..4 {
                        let score = products[4 * r + c] * self.call.scale;
                        scores[(row + r) * KEY_BLOCK + column + c] = score;
                    }
                }
            }
        }
    }

    /// Asks for the values of `keys`, and for the keys a little further on: in a cache that
    /// holds the heads of a token together, they lie too far apart for the CPU to foresee.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, s: S, keys: Range<usize>) {
        const AHEAD: usize = 12;
        for key in keys {
            let value = self.call.v.head(self.batch, key, self.kv_head);
            let later = (key + AHEAD).min(self.call.k.dims[1] - 1);
            let key = self.call.k.head(self.batch, later, self.kv_head);
            for line in (0..value.len()).step_by(LANES) {
                s.prefetch(value[line..].as_ptr().cast());
                s.prefetch(key[line..].as_ptr().cast());
            }
        }
    }

    /// Turns scores into e^(score − max), zero for keys that a row does not see, and brings
    /// the rows' states to the new maximum.
    #[inline(always)]
    fn exponentials<S: Simd>(&self, s: S, block: usize, state: &mut [Line], scores: &mut [Line]) {
        let states = state.chunks_exact_mut(self.call.lines + 1);
        let scores = scores.as_chunks_mut::<{ KEY_BLOCK / LANES }>().0.iter_mut();
        for (row, (state, scores)) in states.zip(scores).enumerate().take(self.rows()) {
            let visible = self.visible_in(block, row);
            if visible == 0 {
                continue;
            }
            Line::flatten_mut(scores)[visible..].fill(f32::NEG_INFINITY);
            let mut v = [s.splat(0.0); 4];
            for i in 0..4 {
                v[i] = s.load(&scores[i].0);
            }
            let block_max = s.reduce_max(s.max(s.max(v[0], v[1]), s.max(v[2], v[3])));
            let (sums, numbers) = state.split_at_mut(self.call.lines);
            let numbers = &mut numbers[0].0;
            let max = if block_max > numbers[MAX] { block_max } else { numbers[MAX] };
            if max != numbers[MAX] {
                let factor = exp(s, numbers[MAX] - max);
                numbers[MAX] = max;
                numbers[SUM] *= factor;
                let factor = s.splat(factor);
                for line in sums {
                    s.store(s.mul(s.load(&line.0), factor), &mut line.0);
                }
            }
            let mut p = v;
            for i in 0..4 {
                p[i] = math::exp(s, s.sub(v[i], s.splat(max)));
                s.store(p[i], &mut scores[i].0);
            }
            numbers[SUM] += s.reduce_add(s.add(s.add(p[0], p[1]), s.add(p[2], p[3])));
        }
    }

    /// Adds p · v of the keys of a block, in their order.
    #[inline(always)]
    fn add_values<S: Simd>(&self, s: S, block: usize, state: &mut [Line], p: &[f32]) {
        let (rows, full) = (self.rows(), self.call.v.dims[3] / LANES);
        let mut line = 0;
        while line < self.call.lines {
            let columns = if line + 4 <= full { 4 } else { 1 };
            let mut row = 0;
            while row < rows {
                let tall = if S::WIDE { 4 } else { 2 };
                let tall = if row + tall <= rows { tall } else { 1 };
                let wide = S::WIDE;
                match (tall, columns) {
                    (4, 4) => self.add_tile::<S, 4, 4>(s, block, row, line, state, p),
                    (4, _) => self.add_tile::<S, 4, 1>(s, block, row, line, state, p),
                    (2, 4) if !wide => {
                        self.add_tile::<S, 2, 2>(s, block, row, line, state, p);
                        self.add_tile::<S, 2, 2>(s, block, row, line + 2, state, p);
                    }
                    (2, _) if !wide => self.add_tile::<S, 2, 1>(s, block, row, line, state, p),
                    (_, 4) => self.add_tile::<S, 1, 4>(s, block, row, line, state, p),
                    _ => self.add_tile::<S, 1, 1>(s, block, row, line, state, p),
                }
                row += tall;
            }
            line += columns;
        }
    }

    /// [`Self::add_values`] for `R` rows and `C` lines.
    #[inline(always)]
    fn add_tile<S: Simd, const R: usize, const C: usize>(
        &self,
        s: S,
        block: usize,
        row: usize,
        line: usize,
        state: &mut [Line],
        p: &[f32],
    ) {
        let visible: [usize; R] = std::array::from_fn(|r| self.visible_in(block, row + r));
        let common = visible.iter().fold(KEY_BLOCK, |common, &n| common.min(n));
        let at = |r: usize, c: usize| (row + r) * (self.call.lines + 1) + line + c;
        let p: [&[f32]; R] =
            std::array::from_fn(|r| &p[(row + r) * KEY_BLOCK..(row + r + 1) * KEY_BLOCK]);
        let mut sums = [[s.splat(0.0); C]; R];
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = s.load(&state[at(r, c)].0);
            }
        }
        for key in 0..common {
            let v = self.values::<S, C>(s, block + key, line);
            for r in 0..R {
                let p = s.splat(p[r][key]);
                for c in 0..C {
                    sums[r][c] = s.add(sums[r][c], s.mul(p, v[c]));
                }
            }
        }
        for r in 0..R {
            // On the diagonal, rows of a tile differ in how far they see.
            for key in common..visible[r] {
                let v = self.values::<S, C>(s, block + key, line);
                let p = s.splat(p[r][key]);
                for c in 0..C {
                    sums[r][c] = s.add(sums[r][c], s.mul(p, v[c]));
                }
            }
            for c in 0..C {
                s.store(sums[r][c], &mut state[at(r, c)].0);
            }
        }
    }

    /// `C` lines of the value of `key`; only a single line may be incomplete.
    #[inline(always)]
    fn values<S: Simd, const C: usize>(&self, s: S, key: usize, line: usize) -> [S::F32; C] {
        let value = &self.call.v.head(self.batch, key, self.kv_head)[line * LANES..];
        if C == 1 {
            return [s.load_partial(value, 0.0); C];
        }
        let lines = &value.as_chunks::<LANES>().0[..C];
        let mut v = [s.splat(0.0); C];
        for c in 0..C {
            v[c] = s.load(&lines[c]);
        }
        v
    }

    /// Merges the rows' states over `segment` into those over all segments before it.
    #[inline(always)]
    fn merge<S: Simd>(&self, s: S, segment: usize, part: &[Line], total: &mut [Line]) {
        let width = self.call.lines + 1;
        let rows = part.chunks_exact(width).zip(total.chunks_exact_mut(width));
        for (row, (part, total)) in rows.enumerate().take(self.rows()) {
            if segment == 0 {
                total.copy_from_slice(part);
                continue;
            }
            if self.visible[row] <= segment * SEGMENT {
                continue;
            }
            let (a, b) = (total[self.call.lines].0, part[self.call.lines].0);
            let max = if b[MAX] > a[MAX] { b[MAX] } else { a[MAX] };
            let factors = (exp(s, a[MAX] - max), exp(s, b[MAX] - max));
            let numbers = &mut total[self.call.lines].0;
            numbers[MAX] = max;
            numbers[SUM] = a[SUM] * factors.0 + b[SUM] * factors.1;
            for (total, part) in total[..self.call.lines].iter_mut().zip(part) {
                let kept = s.mul(s.load(&total.0), s.splat(factors.0));
                let added = s.mul(s.load(&part.0), s.splat(factors.1));
                s.store(s.add(kept, added), &mut total.0);
            }
        }
    }

    /// Writes Σ p·v / Σ p.
    #[inline(always)]
    fn write<S: Simd>(&self, s: S, total: &[Line], out: SharedMut<'_, f32>) {
        let [_, tokens, heads, head_dim] = self.call.q.dims;
        let group = self.call.group;
        for (row, state) in total.chunks_exact(self.call.lines + 1).enumerate().take(self.rows()) {
            let token = self.batch * tokens + self.tokens.start + row / group;
            let start = (token * heads + self.kv_head * group + row % group) * head_dim;
            let sum = s.splat(state[self.call.lines].0[SUM]);
            // SAFETY: each (token, head) belongs to one tile, which one thread writes.
            let out = unsafe { out.range(start..start + head_dim) };
            for (out, line) in out.chunks_mut(LANES).zip(state) {
                s.store_partial(s.div(s.load(&line.0), sum), out);
            }
        }
    }
}

#[inline(always)]
fn exp<S: Simd>(s: S, x: f32) -> f32 {
    s.to_array(math::exp(s, s.splat(x)))[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    struct Case {
        dims: [usize; 4],
        kv_heads: usize,
        capacity: usize,
        positions: Vec<u32>,
    }

    impl Case {
        fn inputs(&self) -> [Vec<f32>; 3] {
            let [batch, _, _, head_dim] = self.dims;
            let len = batch * self.capacity * self.kv_heads * head_dim;
            let mut cache = [reference::uniform(len, 2), reference::uniform(len, 3)];
            // Cache lines that no query sees hold garbage.
            let longest = self.positions.iter().max().copied().unwrap_or(0) as usize;
            for cache in &mut cache {
                for batch in cache.chunks_exact_mut(self.capacity * self.kv_heads * head_dim) {
                    batch[(longest + 1) * self.kv_heads * head_dim..].fill(f32::NAN);
                }
            }
            let q = reference::uniform(self.dims.iter().product(), 1);
            let [k, v] = cache;
            [q.iter().map(|v| v * 4.0).collect(), k, v]
        }

        fn run(&self, cpu: Cpu, [q, k, v]: &[Vec<f32>; 3]) -> Vec<f32> {
            let mut out = vec![f32::NAN; q.len()];
            let cache = [self.dims[0], self.capacity, self.kv_heads, self.dims[3]];
            let (k, v) = (View4::contiguous(k, cache), View4::contiguous(v, cache));
            let q = View4::contiguous(q, self.dims);
            attention(cpu, q, k, v, &self.positions, 0.3, &mut out);
            out
        }
    }

    fn causal(tokens: usize, start: usize, batch: usize) -> Vec<u32> {
        (0..batch).flat_map(|_| (start..start + tokens).map(|p| p as u32)).collect()
    }

    #[test]
    fn matches_f64_on_all_tiers() {
        for (batch, tokens, heads, kv_heads, head_dim, start) in [
            (1, 1, 1, 1, 1, 0),
            (1, 5, 4, 2, 16, 0),
            (2, 7, 3, 1, 17, 3),
            (1, 1, 20, 5, 128, 700),
            (1, 70, 4, 1, 64, 0),
            (1, 33, 2, 2, 100, 250),
            (2, 1, 8, 2, 100, 600),
            (1, 3, 40, 1, 8, 62),
        ] {
            let case = Case {
                dims: [batch, tokens, heads, head_dim],
                kv_heads,
                capacity: start + tokens + 5,
                positions: causal(tokens, start, batch),
            };
            let inputs = case.inputs();
            let [q, k, v] = &inputs;
            let exact = reference::attention(
                q,
                k,
                v,
                case.dims,
                [case.capacity, kv_heads],
                &case.positions,
                0.3,
            );
            let expected = case.run(Cpu::available()[0], &inputs);
            for (a, e) in expected.iter().zip(&exact) {
                assert!((f64::from(*a) - e).abs() < 3e-6, "{a} {e} {:?}", case.dims);
            }
            for &cpu in Cpu::available() {
                assert_eq!(case.run(cpu, &inputs), expected, "{cpu} {:?}", case.dims);
            }
        }
    }

    #[test]
    fn whole_chunked_and_token_by_token_give_the_same_bits() {
        for (heads, kv_heads, head_dim) in [(4, 1, 32), (3, 3, 20)] {
            let total = 600;
            let case = |tokens: usize, start: usize| Case {
                dims: [1, tokens, heads, head_dim],
                kv_heads,
                capacity: total,
                positions: causal(tokens, start, 1),
            };
            let [q, k, v] = case(total, 0).inputs();
            let row = heads * head_dim;
            for &cpu in Cpu::available() {
                let whole = case(total, 0).run(cpu, &[q.clone(), k.clone(), v.clone()]);
                for chunk in [1, 7, 64, 250] {
                    for start in (0..total).step_by(chunk).filter(|s| chunk > 1 || s % 37 == 5) {
                        let end = total.min(start + chunk);
                        let q = q[start * row..end * row].to_vec();
                        // What later tokens will write is garbage so far.
                        let mut cache = [k.clone(), v.clone()];
                        cache
                            .iter_mut()
                            .for_each(|c| c[end * kv_heads * head_dim..].fill(f32::NAN));
                        let [k, v] = cache;
                        let part = case(end - start, start).run(cpu, &[q, k, v]);
                        assert_eq!(part, whole[start * row..end * row], "{cpu} {start} {chunk}");
                    }
                }
            }
        }
    }

    #[test]
    fn strided_views_are_read_where_they_lie() {
        // Rows of Q, K and V together, as a fused projection writes them.
        let (tokens, heads, kv_heads, d) = (9, 4, 2, 24);
        let stride = (heads + 2 * kv_heads) * d;
        let qkv = reference::uniform(tokens * stride, 4);
        let view = |first: usize, heads: usize| View4 {
            data: &qkv[first * d..],
            dims: [1, tokens, heads, d],
            strides: [0, stride, d, 1],
        };
        let copy = |first: usize, heads: usize| -> Vec<f32> {
            qkv.chunks(stride)
                .flat_map(|row| row[first * d..(first + heads) * d].to_vec())
                .collect()
        };
        let positions = causal(tokens, 0, 1);
        let (k, v) = (view(heads, kv_heads), view(heads + kv_heads, kv_heads));
        let mut out = vec![0.0; tokens * heads * d];
        attention(Cpu::best(), view(0, heads), k, v, &positions, 0.3, &mut out);
        let case = Case { dims: [1, tokens, heads, d], kv_heads, capacity: tokens, positions };
        let copies = [copy(0, heads), copy(heads, kv_heads), copy(heads + kv_heads, kv_heads)];
        assert_eq!(out, case.run(Cpu::best(), &copies));
    }

    #[test]
    #[should_panic(expected = "position 4 in a cache of 4")]
    fn a_position_beyond_the_cache_is_refused() {
        let view = View4::contiguous(&[0.0; 4], [1, 4, 1, 1]);
        let q = View4::contiguous(&[0.0], [1, 1, 1, 1]);
        attention(Cpu::best(), q, view, view, &[4], 1.0, &mut [0.0]);
    }
}
