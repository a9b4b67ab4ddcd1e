//! Tensors from arrays of the crate `ndarray`, and back: owned arrays are used where they lie, in
//! whatever order, and the elements of a tensor can be seen as an array without copying them.

use std::sync::Arc;

use ::ndarray::{Array, ArrayD, ArrayView, ArrayViewD, Dimension, IxDyn, ShapeBuilder, ShapeError};

use crate::error::{Result, bail, error};
use crate::layout::Layout;
use crate::storage::{HostBuffer, Storage};
use crate::{BitNetTensor, Device, Element, TensorOpError, TensorShape};

/// The elements of an array as the bytes that a tensor looks at.
struct Elements<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for Elements<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl<T: Element, D: Dimension> TryFrom<Array<T, D>> for BitNetTensor {
    type Error = TensorOpError;

    /// The array itself, whatever its strides: nothing is copied. As of all storage that came from
    /// outside, an operation that would write in place writes into storage of its own.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// use ndarray::array;
    /// let x = BitNetTensor::try_from(array![[1.0f32, 2.0], [3.0, 4.0]].reversed_axes())?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    fn try_from(array: Array<T, D>) -> Result<Self> {
        let shape = TensorShape::from(array.shape());
        let strides = array.strides().to_vec();
        let (elements, offset) = array.into_raw_vec_and_offset();
        let Some(offset) = offset else { return Self::from_slice::<T>(&[], shape) };
        let Some(layout) = Layout::strided(shape, &strides, offset, elements.len()) else {
            bail!(InvalidTensor, "try_from", &[], "strides {strides:?} leave the array");
        };
        let length = std::mem::size_of_val(elements.as_slice());
        let buffer = HostBuffer::External { owner: Arc::new(Elements(elements)), start: 0, length };
        let storage = Storage::Host(Arc::new(buffer));
        Ok(Self::from_parts(storage, layout, T::DTYPE, Device::CPU))
    }
}

impl<T: Element, D: Dimension> TryFrom<ArrayView<'_, T, D>> for BitNetTensor {
    type Error = TensorOpError;

    /// A copy of the elements in row-major order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// use ndarray::{array, s};
    /// let x = BitNetTensor::try_from(array![1, 2, 3].slice(s![..;-1]))?;
    /// assert_eq!(x.to_vec::<i32>()?, [3, 2, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    fn try_from(array: ArrayView<'_, T, D>) -> Result<Self> {
        match array.as_slice() {
            Some(elements) => Self::from_slice(elements, array.shape()),
            None => Self::from_vec(array.iter().copied().collect(), array.shape()),
        }
    }
}

/// # Arrays of the crate `ndarray`
///
/// With the feature `ndarray`. `BitNetTensor::try_from` takes an `Array`, which is not copied, or an
/// `ArrayView`, which is.
impl BitNetTensor {
    /// The elements as an array of their own, in row-major order. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..6)?.reshape([2, 3])?.transpose(0, 1)?;
    /// assert_eq!(x.to_ndarray::<i32>()?, ndarray::array![[0, 3], [1, 4], [2, 5]].into_dyn());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DTypeMismatch`](TensorOpError::DTypeMismatch) when `T` is not the tensor's type.
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        let elements = self.to_vec::<T>()?;
        ArrayD::from_shape_vec(IxDyn(self.shape()), elements)
            .map_err(|cause| error!(InvalidTensor, "to_ndarray", &[self], "{cause}"))
    }

    /// The elements where they lie, seen as an array: any view, also a transposed, backwards or
    /// broadcast one.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..6)?.reshape([2, 3])?.flip(&[1])?;
    /// assert_eq!(x.as_ndarray_view::<i32>()?, ndarray::array![[2, 1, 0], [5, 4, 3]].into_dyn());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DTypeMismatch`](TensorOpError::DTypeMismatch) when `T` is not the tensor's type,
    /// [`InvalidTensor`](TensorOpError::InvalidTensor) when the elements are not on the host or a
    /// broadcast counts more of them than an array may.
    pub fn as_ndarray_view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        let data = self.host_data::<T>()?;
        let layout = self.layout();
        let refused =
            |cause: ShapeError| error!(InvalidTensor, "as_ndarray_view", &[self], "{cause}");
        let Some((low, high)) = layout.span() else {
            return ArrayView::from_shape(IxDyn(self.shape()), &[]).map_err(refused);
        };
        // From the lowest position on; strides are signed, as ndarray's are behind their type.
        let strides: Vec<usize> = layout.strides().iter().map(|&stride| stride as usize).collect();
        let shape = IxDyn(self.shape()).strides(IxDyn(&strides));
        ArrayView::from_shape(shape, &data[low..=high]).map_err(refused)
    }
}
