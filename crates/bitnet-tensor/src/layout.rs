//! Where the elements of a tensor lie in its storage: signed strides, so that transposing,
//! stepping backwards and broadcasting are views.

use smallvec::SmallVec;

use crate::TensorShape;

/// Distances between neighbours along each axis, in elements.
pub type Strides = SmallVec<[isize; 8]>;

/// Maps an index to a position in storage: `offset + Σ index[axis] · stride[axis]`.
///
/// Every constructor keeps the invariant that all indices of the shape map into the storage
/// that the layout was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    shape: TensorShape,
    strides: Strides,
    offset: usize,
}

impl Layout {
    /// Row-major from the beginning of the storage.
    pub fn contiguous(shape: TensorShape) -> Self {
        const INLINE: usize = 8;
        let rank = shape.rank();
        let mut layout = Self {
            strides: if rank <= INLINE {
                Strides::from_buf_and_len([0; INLINE], rank)
            } else {
                Strides::from_elem(0, rank)
            },
            shape,
            offset: 0,
        };
        let mut stride = 1isize;
        for (own, &size) in layout.strides.iter_mut().zip(layout.shape.iter()).rev() {
            *own = stride;
            // The count of a tensor with a zero size is zero: its strides are never used.
            stride = stride.wrapping_mul(size as isize);
        }
        layout
    }

    /// Any strides over storage of `length` elements; `None` when an index of the shape would lie
    /// outside of it.
    #[cfg(feature = "ndarray")]
    pub(crate) fn strided(
        shape: TensorShape,
        strides: &[isize],
        offset: usize,
        length: usize,
    ) -> Option<Self> {
        let (mut low, mut high) = (isize::try_from(offset).ok()?, isize::try_from(offset).ok()?);
        if !shape.contains(&0) {
            for (&size, &stride) in shape.iter().zip(strides) {
                let reach = stride.checked_mul(isize::try_from(size - 1).ok()?)?;
                let end = if reach < 0 { &mut low } else { &mut high };
                *end = end.checked_add(reach)?;
            }
            if low < 0 || usize::try_from(high).ok()? >= length {
                return None;
            }
        }
        (strides.len() == shape.rank() && shape.checked_element_count().is_some()).then(|| Self {
            shape,
            strides: SmallVec::from_slice(strides),
            offset,
        })
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &TensorShape {
        &self.shape
    }

    /// The distances between neighbours along each axis, in elements.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The position of the element with all indices zero.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the elements lie in row-major order without gaps. Axes of size one have no say,
    /// and a tensor without elements is contiguous.
    pub fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut expected = 1isize;
        for axis in (0..self.shape.rank()).rev() {
            if self.shape[axis] != 1 {
                if self.strides[axis] != expected {
                    return false;
                }
                // Sizes of some axes alone may be beyond any stride, where another one is zero.
                expected = expected.saturating_mul(self.shape[axis] as isize);
            }
        }
        true
    }

    /// Axes in the order of `axes`, a permutation of `0..rank`.
    pub(crate) fn permute(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    /// `length` elements of `axis` beginning at `start`, `step` apart. The caller has checked
    /// that each of them is inside the axis.
    pub(crate) fn slice(&self, axis: usize, start: usize, length: usize, step: isize) -> Self {
        let mut strides = self.strides.clone();
        // Of a single element any step was allowed: it says nothing, and may overflow.
        if length > 1 {
            strides[axis] *= step;
        }
        // An empty result keeps the offset: its start may lie one past the end.
        let offset = if length == 0 || self.shape.contains(&0) {
            self.offset
        } else {
            self.offset.wrapping_add_signed(self.strides[axis] * start as isize)
        };
        Self { shape: self.shape.with_size(axis, length), strides, offset }
    }

    /// Windows of `size` elements of `axis`, `dilation` apart, the beginnings `step` apart: `axis`
    /// counts the windows, and a last axis their elements. The caller has checked that there are
    /// `count` of them inside the axis.
    pub(crate) fn windows(
        &self,
        axis: usize,
        count: usize,
        size: usize,
        [step, dilation]: [usize; 2],
    ) -> Self {
        let mut strides = self.strides.clone();
        let stride = strides[axis];
        // Of a single element or window any distance was allowed: it says nothing.
        strides[axis] = if count > 1 { stride * step as isize } else { 0 };
        strides.push(if size > 1 { stride * dilation as isize } else { 0 });
        let shape = self.shape.with_size(axis, count);
        let shape = shape.iter().copied().chain([size]).collect();
        Self { shape, strides, offset: self.offset }
    }

    /// The `length` elements whose indices along both axes grow together from `start`; they become
    /// the last axis.
    pub(crate) fn diagonal(&self, axes: [usize; 2], start: [usize; 2], length: usize) -> Self {
        let [a, b] = axes;
        let rest = (0..self.shape.rank()).filter(|axis| !axes.contains(axis));
        let shape = rest.clone().map(|axis| self.shape[axis]).chain([length]).collect();
        let both = self.strides[a].wrapping_add(self.strides[b]);
        let strides = rest.map(|axis| self.strides[axis]).chain([both]).collect();
        let offset = match length == 0 || self.shape.contains(&0) {
            true => self.offset,
            false => self.offset.wrapping_add_signed(
                self.strides[a] * start[0] as isize + self.strides[b] * start[1] as isize,
            ),
        };
        Self { shape, strides, offset }
    }

    /// Axes of size one, and missing leading axes, repeat without storage: stride zero. The
    /// caller has checked that this layout's shape broadcasts to `shape`.
    pub(crate) fn expand(&self, shape: &TensorShape) -> Self {
        let missing = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank())
            .map(|axis| match axis.checked_sub(missing) {
                Some(own) if self.shape[own] == shape[axis] => self.strides[own],
                _ => 0,
            })
            .collect();
        Self { shape: shape.clone(), strides, offset: self.offset }
    }

    /// The same elements in the same order under another shape of equal element count, when
    /// that needs no copy.
    pub(crate) fn reshape(&self, shape: &TensorShape) -> Option<Self> {
        debug_assert_eq!(self.shape.element_count(), shape.element_count());
        if self.is_contiguous() {
            return Some(Self { offset: self.offset, ..Self::contiguous(shape.clone()) });
        }
        // Groups of old axes and groups of new axes with equal products correspond; within a
        // group the old axes must be contiguous among themselves.
        let old: SmallVec<[(usize, isize); 8]> = self
            .shape
            .iter()
            .copied()
            .zip(self.strides.iter().copied())
            .filter(|&(size, _)| size != 1)
            .collect();
        let mut strides: Strides = SmallVec::from_elem(0, shape.rank());
        let (mut i, mut axis) = (0, 0);
        while i < old.len() {
            let (mut old_count, mut new_count) = (old[i].0, 1);
            let (first_old, first_new) = (i, axis);
            i += 1;
            loop {
                if new_count < old_count {
                    new_count *= *shape.get(axis)?;
                    axis += 1;
                } else if old_count < new_count {
                    old_count *= old.get(i)?.0;
                    i += 1;
                } else {
                    break;
                }
            }
            for pair in old[first_old..i].windows(2) {
                if pair[0].1 != pair[1].1 * pair[1].0 as isize {
                    return None;
                }
            }
            let mut stride = old[i - 1].1;
            for new_axis in (first_new..axis).rev() {
                strides[new_axis] = stride;
                stride *= shape[new_axis] as isize;
            }
        }
        Some(Self { shape: shape.clone(), strides, offset: self.offset })
    }

    /// The lowest and highest position that an index maps to, both inclusive; `None` when
    /// there are no elements.
    pub fn span(&self) -> Option<(usize, usize)> {
        if self.shape.contains(&0) {
            return None;
        }
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = stride * (size as isize - 1);
            if reach < 0 { low += reach } else { high += reach }
        }
        Some((low as usize, high as usize))
    }

    /// The positions of the elements in row-major order of their indices, by the definition: for
    /// tests and for devices that copy element by element.
    pub fn positions(&self) -> impl Iterator<Item = usize> + use<> {
        let layout = self.clone();
        (0..layout.shape.element_count()).map(move |n| {
            let (mut rest, mut position) = (n, layout.offset as isize);
            for (&size, &stride) in layout.shape.iter().zip(&layout.strides).rev() {
                position += (rest % size) as isize * stride;
                rest /= size;
            }
            position as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All positions in logical order, by the definition.
    fn positions(layout: &Layout) -> Vec<usize> {
        let mut result = vec![layout.offset as isize];
        for (&size, &stride) in layout.shape.iter().zip(&layout.strides) {
            result = result
                .iter()
                .flat_map(|&base| (0..size as isize).map(move |index| base + index * stride))
                .collect();
        }
        result.into_iter().map(|position| position as usize).collect()
    }

    fn views() -> impl Strategy<Value = Layout> {
        let shapes = prop::collection::vec(1usize..5, 0..5);
        (shapes, any::<u64>()).prop_map(|(sizes, seed)| {
            let mut layout = Layout::contiguous(TensorShape::from(sizes));
            let mut bits = seed;
            let mut next = |n: usize| {
                bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (bits >> 33) as usize % n.max(1)
            };
            let rank = layout.shape.rank();
            for axis in 0..rank {
                let size = layout.shape[axis];
                layout = match next(4) {
                    0 => layout.slice(axis, size - 1, size, -1),
                    1 => layout.slice(axis, 0, size.div_ceil(2), 2),
                    _ => layout,
                };
            }
            let mut axes: Vec<usize> = (0..rank).collect();
            for i in (1..rank).rev() {
                axes.swap(i, next(i + 1));
            }
            layout.permute(&axes)
        })
    }

    proptest! {
        #[test]
        fn a_reshaped_view_visits_the_same_positions(layout in views(), seed in any::<u64>()) {
            // A random way to write the element count as a product.
            let (mut rest, mut sizes, mut bits) = (layout.shape.element_count(), Vec::new(), seed);
            while rest > 1 {
                bits = bits.rotate_right(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let divisors: Vec<usize> = (1..=rest).filter(|d| rest % d == 0).collect();
                let size = divisors[(bits >> 40) as usize % divisors.len()];
                sizes.push(size);
                rest /= size;
            }
            if let Some(reshaped) = layout.reshape(&TensorShape::from(sizes)) {
                prop_assert_eq!(positions(&reshaped), positions(&layout));
            }
        }

        #[test]
        fn merging_and_splitting_axes_of_a_view_is_found_when_possible(layout in views()) {
            // The shape itself, with ones put in, never needs a copy.
            let mut sizes = vec![1];
            for &size in layout.shape.iter() { sizes.extend([size, 1]); }
            let reshaped = layout.reshape(&TensorShape::from(sizes)).expect("ones never copy");
            prop_assert_eq!(positions(&reshaped), positions(&layout));
        }

        #[test]
        fn span_bounds_every_position(layout in views()) {
            let all = positions(&layout);
            let (low, high) = layout.span().expect("no zero sizes here");
            prop_assert_eq!(low, *all.iter().min().expect("not empty"));
            prop_assert_eq!(high, *all.iter().max().expect("not empty"));
        }

        #[test]
        fn contiguity_means_consecutive_positions(layout in views()) {
            let all = positions(&layout);
            let consecutive = all.windows(2).all(|pair| pair[1] == pair[0] + 1);
            prop_assert_eq!(layout.is_contiguous(), consecutive);
        }
    }

    #[test]
    fn a_transposed_matrix_cannot_be_flattened_without_a_copy() {
        let layout = Layout::contiguous(TensorShape::from([3, 4])).permute(&[1, 0]);
        assert_eq!(layout.reshape(&TensorShape::from([12])), None);
    }
}
