//! [`BitNetTensor`]: an n-dimensional array. What it is here, its making and its reading beside.

mod elements;
mod making;
#[cfg(feature = "ndarray")]
mod ndarray;

use std::sync::Arc;

use bitnet_kernels::blocks::BlockFormat;

use crate::backend::registry;
use crate::error::{Result, bail};
use crate::grad::GradNode;
use crate::layout::Layout;
use crate::storage::{CodeLayout, GroupedWeight, PackedWeight, Storage};
use crate::{BitNetDType, Device, TensorShape};

/// An n-dimensional array of numbers, or a packed ternary weight.
///
/// Cloning and taking views share the storage; a tensor is changed in place only when nobody
/// shares it. Operations are methods that return a new tensor; see [`ops`](crate::ops).
///
/// Tensors are used from as many threads as there are: clones of one, or references to it. None of
/// them can write what another one reads; a `&mut` is of one thread:
///
/// ```compile_fail,E0499
/// # use bitnet_tensor::BitNetTensor;
/// let mut x = BitNetTensor::full([4], 0.0f32)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| x.try_mut::<f32>().map(|values| values.fill(1.0)));
///     scope.spawn(|| x.try_mut::<f32>().map(|values| values.fill(2.0)));
/// });
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
///
/// ```
/// use bitnet_tensor::BitNetTensor;
/// let a = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3])?;
/// let b = a.transpose(0, 1)?; // a view
/// assert_eq!(*b.shape(), [3, 2]);
/// assert_eq!(b.to_vec::<f32>()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Clone)]
pub struct BitNetTensor {
    storage: Storage,
    layout: Layout,
    dtype: BitNetDType,
    device: Device,
    pub(crate) grad: Option<Arc<GradNode>>,
}

/// # What a tensor is
impl BitNetTensor {
    /// A tensor over existing storage: how backends and views make them. The layout must fit
    /// the storage.
    pub(crate) fn from_parts(
        storage: Storage,
        layout: Layout,
        dtype: BitNetDType,
        device: Device,
    ) -> Self {
        Self { storage, layout, dtype, device, grad: None }
    }

    /// The sizes of the axes.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// assert_eq!(BitNetTensor::zeros([2, 3], BitNetDType::F32)?.shape()[..], [2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn shape(&self) -> &TensorShape {
        self.layout.shape()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.shape().element_count()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> BitNetDType {
        self.dtype
    }

    /// Where the elements live.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Where the elements lie in the storage. For a packed weight: the shape, row-major.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the elements lie in row-major order without gaps.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([2, 3], BitNetDType::F32)?;
    /// assert!(x.is_contiguous() && !x.transpose(0, 1)?.is_contiguous());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn is_contiguous(&self) -> bool {
        self.layout.is_contiguous()
    }

    /// The storage, for backends.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The bytes of the elements: of their storage for packed weights, codes and scales.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// assert_eq!(BitNetTensor::zeros([3], BitNetDType::BF16)?.byte_size(), 6);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn byte_size(&self) -> usize {
        match &self.storage {
            Storage::Packed(packed) => packed.codes.byte_size() + packed.scales.byte_size(),
            Storage::Grouped(weight) => weight.tiles.byte_size(),
            _ => match self.dtype {
                BitNetDType::Block(format) => {
                    let [rows, columns] = self.block_rows();
                    format.byte_len(rows, columns).unwrap_or(usize::MAX)
                }
                // A broadcast view may count more elements than memory has bytes.
                dtype => self.element_count().saturating_mul(dtype.size_in_bytes().unwrap_or(0)),
            },
        }
    }

    /// The rows of a tensor of a block format, and their length.
    pub(crate) fn block_rows(&self) -> [usize; 2] {
        let columns = self.shape().last().copied().unwrap_or(1);
        [self.element_count().checked_div(columns).unwrap_or(0), columns]
    }

    /// The format and the tiles of a block weight that
    /// [`prepare_weight`](Self::prepare_weight) made; `None` for other tensors.
    pub fn grouped_parts(&self) -> Option<(BlockFormat, &BitNetTensor)> {
        match &self.storage {
            Storage::Grouped(weight) => Some((weight.format, &weight.tiles)),
            _ => None,
        }
    }

    /// The layout, codes and scales of a ternary or 6-bit weight; `None` for other tensors.
    pub fn packed_parts(&self) -> Option<(CodeLayout, &BitNetTensor, &BitNetTensor)> {
        match &self.storage {
            Storage::Packed(packed) => Some((packed.layout, &packed.codes, &packed.scales)),
            _ => None,
        }
    }

    /// Whether both tensors view the same storage.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..6)?;
    /// assert!(x.flip(&[0])?.shares_storage_with(&x));
    /// assert!(!x.copy()?.shares_storage_with(&x));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn shares_storage_with(&self, other: &BitNetTensor) -> bool {
        match (&self.storage, &other.storage) {
            (Storage::Host(a), Storage::Host(b)) => Arc::ptr_eq(a, b),
            (Storage::Device(a), Storage::Device(b)) => Arc::ptr_eq(a, b),
            (Storage::Packed(a), Storage::Packed(b)) => Arc::ptr_eq(a, b),
            (Storage::Grouped(a), Storage::Grouped(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The same elements seen through `layout`, which must stay inside the storage.
    pub(crate) fn with_layout(&self, layout: Layout) -> Self {
        Self::from_parts(self.storage.clone(), layout, self.dtype, self.device)
    }

    /// The same bytes as elements of another type of the same size.
    pub(crate) fn reinterpreted(&self, dtype: BitNetDType) -> Self {
        let mut tensor = self.detach();
        tensor.reinterpret(dtype);
        tensor
    }

    /// [`reinterpreted`](Self::reinterpreted) without sharing the storage.
    pub(crate) fn reinterpret(&mut self, dtype: BitNetDType) {
        assert_eq!(dtype.size_in_bytes(), self.dtype.size_in_bytes());
        self.dtype = dtype;
    }

    /// The same tensor without its history of operations.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::scalar(2.0f32)?.with_grad();
    /// assert!(x.square()?.has_grad() && !x.detach().square()?.has_grad());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn detach(&self) -> Self {
        Self { grad: None, ..self.clone() }
    }
}

/// # Moving between devices
impl BitNetTensor {
    /// This tensor on `device`: itself when it is there already.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Device};
    /// let x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// assert!(x.to_device(Device::CPU)?.shares_storage_with(&x)); // it is there already
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DeviceMismatch`](crate::TensorOpError::DeviceMismatch) when no backend is registered for the device,
    /// [`InvalidTensor`](crate::TensorOpError::InvalidTensor) for a tensor with a gradient, and what the backend
    /// reports. Bytes that cross are counted in
    /// [`AccelerationMetrics`](crate::backend::AccelerationMetrics).
    pub fn to_device(&self, device: Device) -> Result<Self> {
        if device == self.device {
            return Ok(self.clone());
        }
        if self.has_grad() {
            bail!(
                InvalidTensor,
                "to_device",
                &[self],
                "gradients do not cross devices: detach() first"
            );
        }
        if let Storage::Packed(packed) = &self.storage {
            let moved = PackedWeight {
                layout: packed.layout,
                codes: packed.codes.to_device(device)?,
                scales: packed.scales.to_device(device)?,
            };
            let storage = Storage::Packed(Arc::new(moved));
            return Ok(Self::from_parts(storage, self.layout.clone(), self.dtype, device));
        }
        if let Storage::Grouped(weight) = &self.storage {
            let tiles = weight.tiles.to_device(device)?;
            let moved = GroupedWeight { format: weight.format, tiles };
            let storage = Storage::Grouped(Arc::new(moved));
            return Ok(Self::from_parts(storage, self.layout.clone(), self.dtype, device));
        }
        // Whole storages move, so that a view stays a view of the same bytes.
        let host = registry::entry(self.device)?.download(&self.storage)?;
        let storage = registry::entry(device)?.upload(host)?;
        Ok(Self::from_parts(storage, self.layout.clone(), self.dtype, device))
    }
}
