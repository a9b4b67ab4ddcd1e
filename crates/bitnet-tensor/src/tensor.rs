//! [`BitNetTensor`]: an n-dimensional array, its making and its reading.

use std::panic::Location;
use std::sync::Arc;

use bytemuck::checked;

use crate::backend::registry;
use crate::dtype::{Number, with_number_type};
use crate::error::{Result, bail, error};
use crate::grad::GradNode;
use crate::layout::Layout;
use crate::storage::{ForeignBytes, HostBuffer, PackedTernary, Storage, TernaryLayout};
use crate::{BitNetDType, Device, Element, TensorOpError, TensorShape, memory};

/// An n-dimensional array of numbers, or a packed ternary weight.
///
/// Cloning and taking views share the storage; a tensor is changed in place only when nobody
/// shares it. Operations are methods that return a new tensor; see [`ops`](crate::ops).
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

/// # Making tensors
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

    /// A tensor with unspecified contents on `device`. Its pages are first touched when they are
    /// written.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor, Device};
    /// let x = BitNetTensor::empty([2, 3], BitNetDType::F16, Device::CPU)?;
    /// assert_eq!(x.byte_size(), 12);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`MemoryError`](TensorOpError::MemoryError) when memory cannot be had,
    /// [`UnsupportedOperation`](TensorOpError::UnsupportedOperation) for packed types.
    #[track_caller]
    pub fn empty(
        shape: impl Into<TensorShape>,
        dtype: BitNetDType,
        device: Device,
    ) -> Result<Self> {
        let shape = shape.into();
        let Some(element) = dtype.size_in_bytes() else {
            bail!(
                UnsupportedOperation,
                "empty",
                &[],
                "a {dtype} tensor is made by quantizing or packing"
            );
        };
        let byte_len = shape
            .checked_element_count()
            .and_then(|count| count.checked_mul(element))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| {
                error!(InvalidTensor, "empty", &[], "{dtype}{shape} exceeds the address space")
            })?;
        let storage = memory::on_behalf_of(Location::caller(), || {
            registry::backend(device)?.allocate(byte_len)
        })?;
        Ok(Self::from_parts(storage, Layout::contiguous(shape), dtype, device))
    }

    /// A tensor of zeros.
    ///
    /// ```
    /// # use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let zeros = BitNetTensor::zeros([2, 2], BitNetDType::I32)?;
    /// assert_eq!(zeros.to_vec::<i32>()?, [0; 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As for memory that cannot be had, and for packed types.
    #[track_caller]
    pub fn zeros(shape: impl Into<TensorShape>, dtype: BitNetDType) -> Result<Self> {
        let mut tensor = Self::empty(shape, dtype, Device::CPU)?;
        if let Some(bytes) = tensor.host_bytes_mut() {
            bytes.fill(0);
        }
        Ok(tensor)
    }

    /// A tensor with every element `value`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// assert_eq!(BitNetTensor::full([2], 7u8)?.to_vec::<u8>()?, [7, 7]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As for memory that cannot be had.
    #[track_caller]
    pub fn full<T: Element>(shape: impl Into<TensorShape>, value: T) -> Result<Self> {
        let shape = shape.into();
        memory::on_behalf_of(Location::caller(), || {
            let scalar = Self::from_slice(&[value], [])?;
            scalar.expand(shape)?.copy()
        })
    }

    /// The elements of `values` in row-major order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_slice(&[1i32, 2, 3, 4], [2, 2])?;
    /// assert_eq!(x.transpose(0, 1)?.to_vec::<i32>()?, [1, 3, 2, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidTensor`](TensorOpError::InvalidTensor) when their number is not that of the shape.
    #[track_caller]
    pub fn from_slice<T: Element>(values: &[T], shape: impl Into<TensorShape>) -> Result<Self> {
        let shape = shape.into();
        if shape.checked_element_count() != Some(values.len()) {
            bail!(
                InvalidTensor,
                "from_slice",
                &[],
                "{} values do not fill the shape {shape}",
                values.len()
            );
        }
        let mut tensor = Self::empty(shape, T::DTYPE, Device::CPU)?;
        if let Some(bytes) = tensor.host_bytes_mut() {
            bytes.copy_from_slice(bytemuck::cast_slice(values));
        }
        Ok(tensor)
    }

    /// The elements of `values` in row-major order; see [`from_slice`](Self::from_slice).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0], [1, 2])?;
    /// assert_eq!(x.shape()[..], [1, 2]);
    /// assert!(BitNetTensor::from_vec(vec![1.0f32, 2.0], [3]).is_err());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    #[track_caller]
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl Into<TensorShape>) -> Result<Self> {
        Self::from_slice(&values, shape)
    }

    /// A tensor without axes.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::scalar(0.5f64)?;
    /// assert_eq!((x.rank(), x.item::<f64>()?), (0, 0.5));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As for memory that cannot be had.
    #[track_caller]
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Self::from_slice(&[value], [])
    }

    /// A tensor over `length` bytes of `owner` beginning at `start`, used in place: a mapped
    /// file, an array of another library. Bytes that are not aligned for `dtype` are copied.
    ///
    /// # Errors
    /// [`InvalidTensor`](TensorOpError::InvalidTensor) when the part is outside the bytes or not as long as
    /// the shape needs; `Bool` bytes other than 0 and 1 are found when they are read.
    #[track_caller]
    pub fn from_foreign(
        owner: ForeignBytes,
        bytes: std::ops::Range<usize>,
        dtype: BitNetDType,
        shape: impl Into<TensorShape>,
    ) -> Result<Self> {
        let shape = shape.into();
        let available = (*owner).as_ref().len();
        if bytes.start > bytes.end || bytes.end > available {
            bail!(
                InvalidTensor,
                "from_foreign",
                &[],
                "bytes {bytes:?} are outside of {available} bytes"
            );
        }
        let Some(element) = dtype.size_in_bytes() else {
            bail!(
                UnsupportedOperation,
                "from_foreign",
                &[],
                "{dtype} is made by `ternary_from_parts`"
            );
        };
        let needed = shape.checked_element_count().and_then(|count| count.checked_mul(element));
        if needed != Some(bytes.len()) {
            bail!(
                InvalidTensor,
                "from_foreign",
                &[],
                "{} bytes are not the size of {dtype}{shape}",
                bytes.len()
            );
        }
        let part = &(*owner).as_ref()[bytes.clone()];
        if part.as_ptr().align_offset(element) != 0 {
            let mut tensor = Self::empty(shape, dtype, Device::CPU)?;
            if let Some(target) = tensor.host_bytes_mut() {
                target.copy_from_slice(part);
            }
            return Ok(tensor);
        }
        let buffer = HostBuffer::External { owner, start: bytes.start, length: bytes.len() };
        let storage = Storage::Host(Arc::new(buffer));
        Ok(Self::from_parts(storage, Layout::contiguous(shape), dtype, Device::CPU))
    }

    /// A ternary weight `[rows, columns]` from its codes and the scale of each row.
    ///
    /// `codes` is `U8` in a packed `layout`, or `I8 [rows, columns]` of −1, 0 and 1 for
    /// [`TernaryLayout::Bytes`]; `scales` is `F32 [rows]`. Codes that do not occur (the bit
    /// pattern 3, a byte of 2) are refused: tiled ones here, others when the weight is prepared or
    /// dequantized.
    ///
    /// # Errors
    /// [`ShapeMismatch`](TensorOpError::ShapeMismatch) or [`DTypeMismatch`](TensorOpError::DTypeMismatch) when the parts do
    /// not fit.
    pub fn ternary_from_parts(
        layout: TernaryLayout,
        codes: BitNetTensor,
        scales: BitNetTensor,
        [rows, columns]: [usize; 2],
    ) -> Result<Self> {
        let operands: &[&BitNetTensor] = &[&codes, &scales];
        const NAME: &str = "ternary_from_parts";
        let (dtype, byte_len) = match layout {
            TernaryLayout::Bytes => (BitNetDType::I8, rows.checked_mul(columns)),
            TernaryLayout::HuggingFace => {
                if !rows.is_multiple_of(4) {
                    bail!(ShapeMismatch, NAME, operands, "{rows} rows are not a multiple of 4");
                }
                (BitNetDType::U8, (rows / 4).checked_mul(columns))
            }
            TernaryLayout::Tiled => {
                let tiles = bitnet_kernels::ternary::TiledLayout::new(rows, columns);
                (BitNetDType::U8, tiles.ok().map(|tiles| tiles.byte_len()))
            }
        };
        if codes.dtype != dtype || scales.dtype != BitNetDType::F32 {
            bail!(DTypeMismatch, NAME, operands, "{layout:?} takes {dtype} codes and f32 scales");
        }
        if Some(codes.element_count()) != byte_len || scales.shape() != &TensorShape::from([rows]) {
            bail!(ShapeMismatch, NAME, operands, "codes or scales do not fit [{rows}, {columns}]");
        }
        if !codes.is_contiguous() || !scales.is_contiguous() || codes.device != scales.device {
            bail!(InvalidTensor, NAME, operands, "the parts must be contiguous and on one device");
        }
        if layout == TernaryLayout::Tiled
            && matches!(codes.storage, Storage::Host(_))
            && !bitnet_kernels::ternary::are_codes_ternary(codes.as_slice()?)
        {
            bail!(ComputationError, NAME, operands, "a code is none of -1, 0 and 1");
        }
        let device = codes.device;
        let packed = PackedTernary { layout, codes, scales };
        Ok(Self::from_parts(
            Storage::Packed(Arc::new(packed)),
            Layout::contiguous([rows, columns].into()),
            BitNetDType::Ternary,
            device,
        ))
    }
}

/// # What a tensor is
impl BitNetTensor {
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
            // A broadcast view may count more elements than memory has bytes.
            _ => self.element_count().saturating_mul(self.dtype.size_in_bytes().unwrap_or(0)),
        }
    }

    /// The layout, codes and scales of a ternary weight; `None` for dense tensors.
    pub fn ternary_parts(&self) -> Option<(TernaryLayout, &BitNetTensor, &BitNetTensor)> {
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

/// # Reading elements
impl BitNetTensor {
    /// The elements in row-major order. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i64, 2, 3], [3])?.flip(&[0])?;
    /// assert_eq!(x.to_vec::<i64>()?, [3, 2, 1]);
    /// assert!(x.to_vec::<f32>().is_err()); // to_dtype converts
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DTypeMismatch`](TensorOpError::DTypeMismatch) when `T` is not the tensor's type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let host = self.detach().to_device(Device::CPU)?;
        if host.dtype != T::DTYPE {
            bail!(DTypeMismatch, "to_vec", &[self], "the elements are not {}", T::DTYPE);
        }
        let packed = if host.is_contiguous() { host } else { host.copy()? };
        Ok(packed.as_slice::<T>()?.to_vec())
    }

    /// The only element. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert_eq!(x.sum(&[], false)?.item::<f32>()?, 3.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`ShapeMismatch`](TensorOpError::ShapeMismatch) when there is not exactly one element.
    pub fn item<T: Element>(&self) -> Result<T> {
        match self.to_vec::<T>()?.as_slice() {
            [value] => Ok(*value),
            _ => bail!(ShapeMismatch, "item", &[self], "there is not exactly one element"),
        }
    }

    /// The elements of a contiguous tensor on the host, in place.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u8, 2, 3])?;
    /// assert_eq!(x.narrow(0, 1, 2)?.as_slice::<u8>()?, [2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidTensor`](TensorOpError::InvalidTensor) when they are not contiguous or not on the host,
    /// [`DTypeMismatch`](TensorOpError::DTypeMismatch) when `T` is not the tensor's type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        if !self.is_contiguous() {
            bail!(
                InvalidTensor,
                "as_slice",
                &[self],
                "the elements are not contiguous: copy() first"
            );
        }
        let count = self.element_count();
        if count == 0 && self.dtype == T::DTYPE {
            return Ok(&[]);
        }
        Ok(&self.host_data::<T>()?[self.layout.offset()..][..count])
    }

    /// The elements of a contiguous, unshared tensor on the host, for writing.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let mut x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// x.try_mut::<u8>()?[0] = 9;
    /// let y = x.clone();
    /// assert!(x.try_mut::<u8>().is_err()); // y looks at the same storage
    /// assert_eq!(y.to_vec::<u8>()?, [9, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`as_slice`](Self::as_slice), and [`InvalidTensor`](TensorOpError::InvalidTensor) when another tensor
    /// shares the storage: this never copies behind the caller's back.
    pub fn try_mut<T: Element + bytemuck::AnyBitPattern>(&mut self) -> Result<&mut [T]> {
        if !self.is_contiguous() {
            bail!(InvalidTensor, "try_mut", &[self], "the elements are not contiguous");
        }
        let (offset, count) = (self.layout.offset(), self.element_count());
        if count == 0 && self.dtype == T::DTYPE {
            return Ok(&mut []);
        }
        Ok(&mut self.host_data_mut::<T>()?[offset..][..count])
    }

    /// All elements of the storage on the host, to be addressed through the layout.
    ///
    /// # Errors
    /// [`DTypeMismatch`](TensorOpError::DTypeMismatch), or [`InvalidTensor`](TensorOpError::InvalidTensor) when not on the host.
    pub fn host_data<T: Element>(&self) -> Result<&[T]> {
        if self.dtype != T::DTYPE {
            bail!(DTypeMismatch, "host_data", &[self], "the elements are not {}", T::DTYPE);
        }
        let Storage::Host(buffer) = &self.storage else {
            bail!(InvalidTensor, "host_data", &[self], "the elements are not in host memory");
        };
        checked::try_cast_slice(buffer.bytes()).map_err(|cause| {
            error!(InvalidTensor, "host_data", &[self], "the bytes are no {}: {cause}", T::DTYPE)
        })
    }

    /// All elements of unshared storage on the host, for writing through the layout.
    ///
    /// # Errors
    /// As [`host_data`](Self::host_data), and when the storage is shared or foreign.
    pub fn host_data_mut<T: Element + bytemuck::AnyBitPattern>(&mut self) -> Result<&mut [T]> {
        if self.dtype != T::DTYPE {
            bail!(DTypeMismatch, "host_data_mut", &[self], "the elements are not {}", T::DTYPE);
        }
        if !self.is_unique() {
            bail!(
                InvalidTensor,
                "host_data_mut",
                &[self],
                "the storage is shared, foreign or not on the host"
            );
        }
        match self.host_bytes_mut() {
            Some(bytes) => Ok(bytemuck::cast_slice_mut(bytes)),
            None => {
                Err(error!(InternalError, "host_data_mut", &[], "unique storage cannot be written"))
            }
        }
    }

    /// Whether this tensor alone holds its storage and may write to it.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// assert!(x.is_unique());
    /// let y = x.clone();
    /// assert!(!x.is_unique() && !y.is_unique());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn is_unique(&self) -> bool {
        match &self.storage {
            Storage::Host(buffer) => {
                // As `Arc::get_mut` asks: a weak handle can become a strong one.
                Arc::strong_count(buffer) == 1
                    && Arc::weak_count(buffer) == 0
                    && matches!(**buffer, HostBuffer::Pool(_))
            }
            Storage::Device(buffer) => Arc::strong_count(buffer) == 1,
            Storage::Packed(_) => false,
        }
    }

    /// The bytes of unshared storage on the host; at least those of the elements.
    pub(crate) fn host_bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.storage {
            Storage::Host(buffer) => Arc::get_mut(buffer)?.bytes_mut(),
            _ => None,
        }
    }

    /// The elements as `f64` in row-major order, whatever their numeric type.
    pub(crate) fn to_f64_vec(&self) -> Result<Vec<f64>> {
        fn convert<T: Number>(tensor: &BitNetTensor) -> Result<Vec<f64>> {
            Ok(tensor.to_vec::<T>()?.into_iter().map(Number::to_f64).collect())
        }
        with_number_type!(self.dtype, T => convert::<T>(self), {
            if self.dtype == BitNetDType::Bool {
                return Ok(self.to_vec::<bool>()?.into_iter().map(|b| f64::from(u8::from(b))).collect());
            }
            self.to_dtype(BitNetDType::F32)?.to_f64_vec()
        })
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
    /// [`DeviceMismatch`](TensorOpError::DeviceMismatch) when no backend is registered for the device,
    /// [`InvalidTensor`](TensorOpError::InvalidTensor) for a tensor with a gradient, and what the backend
    /// reports.
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
            let moved = PackedTernary {
                layout: packed.layout,
                codes: packed.codes.to_device(device)?,
                scales: packed.scales.to_device(device)?,
            };
            let storage = Storage::Packed(Arc::new(moved));
            return Ok(Self::from_parts(storage, self.layout.clone(), self.dtype, device));
        }
        // Whole storages move, so that a view stays a view of the same bytes.
        let host = match &self.storage {
            Storage::Host(buffer) => buffer.clone(),
            storage => registry::backend(self.device)?.download(storage)?,
        };
        let storage = registry::backend(device)?.upload(host)?;
        crate::backend::metrics::record_transfer();
        Ok(Self::from_parts(storage, self.layout.clone(), self.dtype, device))
    }
}

impl<T: Element> TryFrom<Vec<T>> for BitNetTensor {
    type Error = TensorOpError;

    /// A tensor of one axis.
    fn try_from(values: Vec<T>) -> Result<Self> {
        let shape = [values.len()];
        Self::from_vec(values, shape)
    }
}
