//! The macro of index expressions.

/// An index expression, for [`index`](crate::BitNetTensor::index) and
/// [`set_index`](crate::BitNetTensor::set_index): entries for the axes from the first one, what
/// NumPy writes in brackets.
///
/// | entry | is | NumPy |
/// |---|---|---|
/// | `2`, `-1` | one place, negative from the end; the axis goes | `2`, `-1` |
/// | `1..4`, `1..=3`, `2..`, `..-1` | a range, negative from the end, cut to the axis | `1:4`, `2:`, `:-1` |
/// | `..` | all of one axis | `:` |
/// | `1..8;2`, `..;-1`, `5..1;-2` | every second, backwards, backwards by two from 5 | `1:8:2`, `::-1`, `5:1:-2` |
/// | `NewAxis` | a new axis of size one | `None` |
/// | `...`, `Ellipsis` | all axes that the other entries leave, once at most | `...` |
/// | `&tensor` of integers | places by number, negative from the end | an integer array |
/// | `&tensor` of `Bool` | the places where it is true, of as many axes as it has | a mask |
///
/// Axes without an entry are whole. Ranges with a negative step run from a start down to an end, as
/// Python's do (`ndarray`'s reverse the range instead). Variables of the types `isize`, `usize`,
/// `i32`, `i64` and `u32` may stand for numbers.
///
/// Several index tensors are broadcast together, and so are plain numbers beside them: element
/// `[i, j]` of `s![&a, &b]` is that of place `(a[i, j], b[i, j])`. Their common axes stand where the
/// first of them stood when all stand side by side, else in front, as NumPy has it.
///
/// ```
/// use bitnet_tensor::{BitNetTensor, ops::NewAxis, s};
/// let x = BitNetTensor::arange(0u32..24)?.reshape([2, 3, 4])?;
/// assert_eq!(x.index(s![0, -1, 1..;2])?.to_vec::<u32>()?, [9, 11]);
/// assert_eq!(*x.index(s![..., NewAxis, 0..2])?.shape(), [2, 3, 1, 2]);
/// assert_eq!(*x.index(s![.., ..;-1])?.shape(), [2, 3, 4]);
/// let corners = BitNetTensor::try_from(vec![0i64, -1])?;
/// assert_eq!(x.index(s![0, &corners, &corners])?.to_vec::<u32>()?, [0, 11]);
/// assert_eq!(x.index(s![&x.gt(21)?])?.to_vec::<u32>()?, [22, 23]);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[macro_export]
macro_rules! s {
    // One entry after the other, into the list in brackets.
    (@entries [$($done:expr,)*]) => { [$($done),*] as [$crate::ops::Index; _] };
    (@entries [$($done:expr,)*] ... $(, $($rest:tt)*)?) => {
        $crate::s!(@entries [$($done,)* $crate::ops::Index::Ellipsis,] $($($rest)*)?)
    };
    (@entries [$($done:expr,)*] $range:expr; $step:expr $(, $($rest:tt)*)?) => {
        $crate::s!(@entries [
            $($done,)*
            $crate::ops::Index::from($crate::ops::Slice::from($range).every($step)),
        ] $($($rest)*)?)
    };
    (@entries [$($done:expr,)*] $entry:expr $(, $($rest:tt)*)?) => {
        $crate::s!(@entries [$($done,)* $crate::ops::Index::from($entry),] $($($rest)*)?)
    };
    ($($entries:tt)*) => { $crate::s!(@entries [] $($entries)*) };
}
