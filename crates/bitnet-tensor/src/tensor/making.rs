//! Tensors made of given elements, foreign memory, and packed codes.

use std::panic::Location;
use std::sync::Arc;

use bitnet_kernels::blocks::BlockFormat;
use bitnet_kernels::grouped::GroupedLayout;
use bitnet_kernels::ternary::{I2sBlock, i2_s_scale, words_byte_len};
use bitnet_kernels::tiled::{TiledLayout, are_codes_valid};

use crate::backend::registry;
use crate::error::{Result, bail, error};
use crate::layout::Layout;
use crate::storage::{CodeLayout, ForeignBytes, GroupedWeight, HostBuffer, PackedWeight, Storage};
use crate::{BitNetDType, BitNetTensor, Device, Element, TensorOpError, TensorShape, memory};

/// # Making tensors
impl BitNetTensor {
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
            registry::entry(device)?.allocate(byte_len)
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
    /// file, an array of another library. Bytes that are not aligned for `dtype` are copied. Rows
    /// (of the last axis) of a block format are whole blocks.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bitnet_tensor::{BitNetDType, BitNetTensor, ForeignBytes};
    /// let owner: ForeignBytes = Arc::new(vec![7u8, 1, 2, 3]);
    /// let x = BitNetTensor::from_foreign(owner, 1..4, BitNetDType::U8, [3])?;
    /// assert_eq!(x.to_vec::<u8>()?, [1, 2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
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
        let count = shape.checked_element_count();
        let (needed, alignment) = match (dtype, dtype.size_in_bytes()) {
            (_, Some(element)) => (count.and_then(|count| count.checked_mul(element)), element),
            (BitNetDType::Block(format), None) => {
                let columns = shape.last().copied().unwrap_or(1);
                let rows = count.map(|count| count.checked_div(columns).unwrap_or(0));
                let needed = rows.map(|rows| format.byte_len(rows, columns)).transpose();
                match needed {
                    Ok(needed) => (needed, 1),
                    Err(cause) => bail!(InvalidTensor, "from_foreign", &[], "{cause}"),
                }
            }
            _ => bail!(
                UnsupportedOperation,
                "from_foreign",
                &[],
                "{dtype} is made by `packed_from_parts`"
            ),
        };
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
        if part.as_ptr().align_offset(alignment) != 0 {
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

    /// A ternary or 6-bit weight `[rows, columns]` from its codes and the scale of each row.
    ///
    /// `codes` is `U8` in a packed `layout`, or `I8 [rows, columns]` of −1, 0 and 1 for
    /// [`CodeLayout::Bytes`], −31 to 31 for [`CodeLayout::Int6Bytes`]; `scales` is `F32 [rows]`. Codes that do not occur (the bit
    /// pattern 3, a byte of 2) are refused: tiled ones here, others when the weight is prepared or
    /// dequantized.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor, CodeLayout};
    /// let codes = BitNetTensor::from_slice(&[1i8, 0, -1, 1], [2, 2])?;
    /// let scales = BitNetTensor::try_from(vec![0.5f32, 2.0])?;
    /// let weight = BitNetTensor::packed_from_parts(CodeLayout::Bytes, codes, scales, [2, 2])?;
    /// assert_eq!(weight.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?, [0.5, 0.0, -2.0, 2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`ShapeMismatch`](TensorOpError::ShapeMismatch) or [`DTypeMismatch`](TensorOpError::DTypeMismatch) when the parts do
    /// not fit.
    pub fn packed_from_parts(
        layout: CodeLayout,
        codes: BitNetTensor,
        scales: BitNetTensor,
        [rows, columns]: [usize; 2],
    ) -> Result<Self> {
        let operands: &[&BitNetTensor] = &[&codes, &scales];
        const NAME: &str = "packed_from_parts";
        let (dtype, byte_len) = match layout {
            CodeLayout::Bytes | CodeLayout::Int6Bytes => {
                (BitNetDType::I8, rows.checked_mul(columns))
            }
            CodeLayout::HuggingFace => {
                if !rows.is_multiple_of(4) {
                    bail!(ShapeMismatch, NAME, operands, "{rows} rows are not a multiple of 4");
                }
                (BitNetDType::U8, (rows / 4).checked_mul(columns))
            }
            CodeLayout::I2S(block) => (BitNetDType::U8, block.byte_len(rows, columns).ok()),
            CodeLayout::Words => (BitNetDType::U8, words_byte_len(rows, columns).ok()),
            CodeLayout::Tiled(encoding) => {
                let tiles = TiledLayout::new(encoding, rows, columns);
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
        if let CodeLayout::Tiled(encoding) = layout
            && matches!(codes.storage, Storage::Host(_))
            && !are_codes_valid(encoding, codes.as_slice()?)
        {
            bail!(ComputationError, NAME, operands, "a code stands for no weight");
        }
        let device = codes.device;
        let dtype = layout.dtype();
        let packed = PackedWeight { layout, codes, scales };
        Ok(Self::from_parts(
            Storage::Packed(Arc::new(packed)),
            Layout::contiguous([rows, columns].into()),
            dtype,
            device,
        ))
    }
}

/// # Weights of files
impl BitNetTensor {
    /// A ternary weight over the bytes of an I2_S tensor, used in place. Its codes are looked at
    /// when it is prepared or dequantized.
    ///
    /// # Errors
    /// [`InvalidTensor`](TensorOpError::InvalidTensor) when the part is outside of the bytes or not as long
    /// as the shape needs, or the scale is not finite.
    pub fn from_i2_s(
        owner: ForeignBytes,
        bytes: std::ops::Range<usize>,
        block: I2sBlock,
        [rows, columns]: [usize; 2],
    ) -> Result<Self> {
        let length = bytes.len();
        let codes = Self::from_foreign(owner, bytes, BitNetDType::U8, [length])?;
        let failed = |cause| error!(InvalidTensor, "from_i2_s", &[], "{cause}");
        let scale = i2_s_scale(block, codes.as_slice()?, rows, columns).map_err(failed)?;
        if !scale.is_finite() {
            bail!(InvalidTensor, "from_i2_s", &[], "the scale is {scale}");
        }
        let scales = Self::from_vec(vec![scale; rows], [rows])?;
        Self::packed_from_parts(CodeLayout::I2S(block), codes, scales, [rows, columns])
    }

    /// A weight `[rows, columns]` of a block format from the tiles that
    /// [`prepare_weight`](Self::prepare_weight) made, `U8`: how a device puts
    /// [`grouped_parts`](Self::grouped_parts) together again.
    ///
    /// # Errors
    /// [`DTypeMismatch`](TensorOpError::DTypeMismatch), or [`ShapeMismatch`](TensorOpError::ShapeMismatch) when
    /// the tiles do not fit.
    pub fn grouped_from_parts(
        format: BlockFormat,
        tiles: BitNetTensor,
        [rows, columns]: [usize; 2],
    ) -> Result<Self> {
        const NAME: &str = "grouped_from_parts";
        if tiles.dtype != BitNetDType::U8 {
            bail!(DTypeMismatch, NAME, &[&tiles], "tiles are u8");
        }
        let layout = GroupedLayout::new(format, rows, columns);
        let fits = layout.is_ok_and(|layout| layout.byte_len() == tiles.element_count());
        if !fits || !tiles.is_contiguous() {
            bail!(ShapeMismatch, NAME, &[&tiles], "no tiles of {format} [{rows}, {columns}]");
        }
        let device = tiles.device;
        Ok(Self::from_parts(
            Storage::Grouped(Arc::new(GroupedWeight { format, tiles })),
            Layout::contiguous([rows, columns].into()),
            BitNetDType::Block(format),
            device,
        ))
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
