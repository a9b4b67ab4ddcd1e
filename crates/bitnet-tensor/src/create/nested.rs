//! Tensors from nested arrays and lists, as they are written in a program.

use crate::error::{Result, bail};
use crate::{BitNetTensor, Element};

/// Numbers in nested arrays, slices or lists: `[[1.0, 2.0], [3.0, 4.0]]`. Lists of one level have one
/// length.
pub trait Nested: sealed::Sealed {
    /// The type of the numbers.
    type Number: Element;
    #[doc(hidden)]
    fn sizes(&self, sizes: &mut Vec<usize>);
    /// Appends the numbers; `false` when a list has not the length that `sizes` says.
    #[doc(hidden)]
    fn append(&self, sizes: &[usize], numbers: &mut Vec<Self::Number>) -> bool;
}

mod sealed {
    /// Keeps [`super::Nested`] to numbers, arrays, slices and lists.
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl sealed::Sealed for $number {}
        impl Nested for $number {
            type Number = $number;
            fn sizes(&self, _: &mut Vec<usize>) {}
            fn append(&self, _: &[usize], numbers: &mut Vec<$number>) -> bool {
                numbers.push(*self);
                true
            }
        }
    )+};
}
numbers!(bool, u8, u16, u32, u64, i8, i16, i32, i64, half::f16, half::bf16, f32, f64);

impl<T: Nested> sealed::Sealed for [T] {}
impl<T: Nested> Nested for [T] {
    type Number = T::Number;

    fn sizes(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.len());
        if let Some(first) = self.first() {
            first.sizes(sizes);
        }
    }

    fn append(&self, sizes: &[usize], numbers: &mut Vec<T::Number>) -> bool {
        let Some((&length, inner)) = sizes.split_first() else { return false };
        self.len() == length && self.iter().all(|part| part.append(inner, numbers))
    }
}

macro_rules! lists {
    ($([$($generics:tt)*] $list:ty),+) => {$(
        impl<$($generics)*> sealed::Sealed for $list {}
        impl<$($generics)*> Nested for $list {
            type Number = T::Number;
            fn sizes(&self, sizes: &mut Vec<usize>) {
                self[..].sizes(sizes);
            }
            fn append(&self, sizes: &[usize], numbers: &mut Vec<T::Number>) -> bool {
                self[..].append(sizes, numbers)
            }
        }
    )+};
}
lists!([T: Nested] Vec<T>, [T: Nested, const N: usize] [T; N]);

impl<T: Nested + ?Sized> sealed::Sealed for &T {}
impl<T: Nested + ?Sized> Nested for &T {
    type Number = T::Number;
    fn sizes(&self, sizes: &mut Vec<usize>) {
        (**self).sizes(sizes);
    }
    fn append(&self, sizes: &[usize], numbers: &mut Vec<T::Number>) -> bool {
        (**self).append(sizes, numbers)
    }
}

impl BitNetTensor {
    /// A tensor from nested arrays, slices or lists; the nesting is the shape.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_nested([[1.0f32, 2.0], [3.0, 4.0]])?;
    /// assert_eq!(*x.shape(), [2, 2]);
    /// let ragged = BitNetTensor::from_nested(vec![vec![1u8], vec![2, 3]]);
    /// assert!(ragged.unwrap_err().to_string().contains("one length"));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` when lists of one level differ in length, `MemoryError`.
    pub fn from_nested(values: impl Nested) -> Result<Self> {
        let (mut sizes, mut numbers) = (Vec::new(), Vec::new());
        values.sizes(&mut sizes);
        if !values.append(&sizes, &mut numbers) {
            bail!(InvalidTensor, "from_nested", &[], "the lists of a level are not of one length");
        }
        Self::from_vec(numbers, sizes)
    }

    /// The numbers of an iterator, as a tensor of one axis.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let squares = BitNetTensor::from_iterator((0..4i32).map(|n| n * n))?;
    /// assert_eq!(squares.to_vec::<i32>()?, [0, 1, 4, 9]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn from_iterator<T: Element>(values: impl IntoIterator<Item = T>) -> Result<Self> {
        Self::try_from(values.into_iter().collect::<Vec<T>>())
    }
}
