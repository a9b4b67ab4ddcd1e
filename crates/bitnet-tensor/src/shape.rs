//! The sizes of a tensor's axes, and what NumPy's broadcasting makes of two of them.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// The sizes of a tensor's axes, outermost first. Up to eight axes live without allocation.
///
/// ```
/// use bitnet_tensor::TensorShape;
/// let shape = TensorShape::from([2, 3]);
/// assert_eq!(shape.element_count(), 6);
/// assert_eq!(shape.rank(), 2);
/// assert_eq!(shape.to_string(), "[2, 3]");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TensorShape(SmallVec<[usize; 8]>);

impl TensorShape {
    /// The number of axes; a scalar has none.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The product of the sizes; 1 for a scalar.
    ///
    /// ```
    /// use bitnet_tensor::TensorShape;
    /// assert_eq!(TensorShape::from([2, 3]).element_count(), 6);
    /// assert_eq!(TensorShape::from([]).element_count(), 1);
    /// ```
    ///
    /// # Panics
    /// If it exceeds `usize`; tensors with such shapes cannot be made (see
    /// [`checked_element_count`](Self::checked_element_count)).
    pub fn element_count(&self) -> usize {
        self.checked_element_count().expect("a tensor's element count fits usize")
    }

    /// The product of the sizes, or `None` when it exceeds `usize`. A size of zero makes it
    /// zero whatever the other sizes are.
    pub fn checked_element_count(&self) -> Option<usize> {
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
    }

    /// The shape that both broadcast to, or the axis (counted from the end, −1 the last) and
    /// the two sizes that disagree.
    ///
    /// ```
    /// use bitnet_tensor::TensorShape;
    /// let both = TensorShape::from([3, 1]).broadcast(&TensorShape::from([2]));
    /// assert_eq!(both, Ok(TensorShape::from([3, 2])));
    /// ```
    pub fn broadcast(&self, other: &Self) -> Result<Self, (isize, usize, usize)> {
        let rank = self.rank().max(other.rank());
        let mut sizes = SmallVec::from_elem(1, rank);
        for from_end in 1..=rank {
            let size_of = |shape: &Self| match shape.rank().checked_sub(from_end) {
                Some(axis) => shape[axis],
                None => 1,
            };
            sizes[rank - from_end] = match (size_of(self), size_of(other)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                (a, b) => return Err((-(from_end as isize), a, b)),
            };
        }
        Ok(Self(sizes))
    }

    /// The same shape with `axis` set to `size`.
    pub(crate) fn with_size(&self, axis: usize, size: usize) -> Self {
        let mut sizes = self.0.clone();
        sizes[axis] = size;
        Self(sizes)
    }
}

/// The product of some of a tensor's sizes. It saturates only beside an axis of size zero, where
/// there is nothing to count.
pub(crate) fn count(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product, &size| product.saturating_mul(size))
}

/// The axis that `axis` names in a tensor of `rank` axes: negative ones count from the end.
pub(crate) fn resolve_axis(axis: isize, rank: usize) -> Option<usize> {
    let resolved = if axis < 0 { axis.checked_add_unsigned(rank)? } else { axis };
    usize::try_from(resolved).ok().filter(|&axis| axis < rank)
}

impl Deref for TensorShape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for TensorShape {
    fn from(sizes: [usize; N]) -> Self {
        Self(SmallVec::from_slice(&sizes))
    }
}

impl From<&[usize]> for TensorShape {
    fn from(sizes: &[usize]) -> Self {
        Self(SmallVec::from_slice(sizes))
    }
}

impl From<Vec<usize>> for TensorShape {
    fn from(sizes: Vec<usize>) -> Self {
        Self(SmallVec::from_vec(sizes))
    }
}

impl From<&TensorShape> for TensorShape {
    fn from(shape: &TensorShape) -> Self {
        shape.clone()
    }
}

impl FromIterator<usize> for TensorShape {
    fn from_iter<I: IntoIterator<Item = usize>>(sizes: I) -> Self {
        Self(sizes.into_iter().collect())
    }
}

impl PartialEq<[usize]> for TensorShape {
    fn eq(&self, other: &[usize]) -> bool {
        self.0.as_slice() == other
    }
}

impl<const N: usize> PartialEq<[usize; N]> for TensorShape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.0.as_slice() == other
    }
}

impl fmt::Display for TensorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for TensorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let shape = |sizes: &[usize]| TensorShape::from(sizes);
        for (a, b, expected) in [
            (&[][..], &[][..], Ok(&[][..])),
            (&[2, 3], &[3], Ok(&[2, 3])),
            (&[2, 1], &[1, 5], Ok(&[2, 5])),
            (&[1], &[0], Ok(&[0])),
            (&[4, 1, 2], &[3, 1], Ok(&[4, 3, 2])),
            (&[2], &[3], Err((-1, 2, 3))),
            (&[2, 4], &[3, 1], Err((-2, 2, 3))),
            (&[2], &[0], Err((-1, 2, 0))),
        ] {
            assert_eq!(shape(a).broadcast(&shape(b)), expected.map(shape), "{a:?} {b:?}");
        }
    }

    #[test]
    fn element_counts_do_not_overflow_silently() {
        assert_eq!(TensorShape::from([usize::MAX, 2]).checked_element_count(), None);
        assert_eq!(TensorShape::from([usize::MAX, 2, 0]).checked_element_count(), Some(0));
        assert_eq!(TensorShape::default().element_count(), 1);
    }

    #[test]
    fn negative_axes_count_from_the_end() {
        assert_eq!(resolve_axis(-1, 3), Some(2));
        assert_eq!(resolve_axis(-4, 3), None);
        assert_eq!(resolve_axis(3, 3), None);
        assert_eq!(resolve_axis(isize::MIN, 3), None);
        assert_eq!(resolve_axis(0, 0), None);
    }
}
