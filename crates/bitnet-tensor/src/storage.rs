//! Where a tensor's bytes are: a block of the pool, foreign bytes used where they lie (a
//! mapped file, an array of another library, data in the program), memory of a device, or the
//! codes and scales of a packed weight.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bitnet_kernels::blocks::BlockFormat;
use bitnet_kernels::ternary::I2sBlock;
use bitnet_kernels::tiled::TileEncoding;

use crate::error::Result;
use crate::memory::{HybridMemoryPool, PoolBlock, with_current};
use crate::{BitNetDType, BitNetTensor, Device};

/// Storage shared by the tensors that view it.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Bytes in the memory of the host.
    Host(Arc<HostBuffer>),
    /// Memory that only its backend can read.
    Device(Arc<dyn DeviceBuffer>),
    /// A packed ternary weight.
    Packed(Arc<PackedWeight>),
    /// A weight of a block format as the CPU's kernels want it. As files have it, it is
    /// [`Host`](Self::Host) bytes.
    Grouped(Arc<GroupedWeight>),
}

/// Memory of a device, as its backend knows it.
pub trait DeviceBuffer: Any + Send + Sync + fmt::Debug {
    /// The device that holds the memory.
    fn device(&self) -> Device;
    /// Its length in bytes.
    fn byte_len(&self) -> usize;
    /// The concrete type, for the backend that made it.
    fn as_any(&self) -> &dyn Any;
}

/// Foreign bytes that a tensor uses in place. They must not change while it does.
pub type ForeignBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Bytes in the memory of the host.
pub enum HostBuffer {
    /// A block of the memory pool, writable when it is not shared.
    Pool(PoolBlock),
    /// Part of foreign bytes, read-only.
    External {
        /// Whom the bytes belong to.
        owner: ForeignBytes,
        /// Where the part begins, in bytes.
        start: usize,
        /// How long it is, in bytes.
        length: usize,
    },
}

impl HostBuffer {
    /// A block with unspecified contents, of `pool` unless the thread has one of its own.
    pub(crate) fn allocate(pool: &HybridMemoryPool, byte_len: usize) -> Result<Self> {
        with_current(pool, |pool| pool.allocate(byte_len)).map(Self::Pool)
    }

    /// A block of the process's pool with the bytes of `other`.
    pub(crate) fn copy_of(other: &Self) -> Result<Self> {
        let mut copy = Self::allocate(HybridMemoryPool::global(), other.bytes().len())?;
        if let Some(bytes) = copy.bytes_mut() {
            bytes.copy_from_slice(other.bytes());
        }
        Ok(copy)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Pool(block) => block,
            Self::External { owner, start, length } => {
                let bytes: &[u8] = (**owner).as_ref();
                &bytes[*start..*start + *length]
            }
        }
    }

    /// The bytes for writing; `None` for foreign ones.
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            Self::Pool(block) => Some(block),
            Self::External { .. } => None,
        }
    }
}

impl fmt::Debug for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Pool(_) => "Pool",
            Self::External { .. } => "External",
        };
        write!(f, "{kind}({} bytes)", self.bytes().len())
    }
}

/// The largest magnitude of a code of [`BitNetDType::Int6`].
pub(crate) const INT6_MAX: i8 = 31;

/// How the codes of a weight with a scale for each row are laid out: of a ternary one as `t + 1` in
/// two bits, but for bytes and tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeLayout {
    /// Hugging Face's: value (o, k) in byte `[o mod (rows/4)][k]`, bits `2·(o div (rows/4))`.
    HuggingFace,
    /// One I8 code (−1, 0, 1) per byte, row-major.
    Bytes,
    /// One I8 code (−31 to 31) per byte, row-major.
    Int6Bytes,
    /// bitnet.cpp's: the bytes of an I2_S tensor, its trailer included, in blocks of that many.
    I2S(I2sBlock),
    /// Rows of 32-bit words for devices that compute with four int8 in a word, see
    /// `bitnet_kernels::ternary::pack_words`.
    Words,
    /// Tiles for the CPU's kernels, see `bitnet_kernels::tiled`.
    Tiled(TileEncoding),
}

impl CodeLayout {
    /// The type of a weight in this layout: `Ternary` or `Int6`.
    pub const fn dtype(self) -> BitNetDType {
        match self {
            Self::Int6Bytes | Self::Tiled(TileEncoding::SixBit) => BitNetDType::Int6,
            _ => BitNetDType::Ternary,
        }
    }
}

/// A ternary or 6-bit weight `[rows, columns]`: codes in some layout and one scale per row. Both are
/// tensors, so that they live where the device wants them.
#[derive(Debug)]
pub struct PackedWeight {
    pub(crate) layout: CodeLayout,
    /// U8 bytes in `layout`.
    pub(crate) codes: BitNetTensor,
    /// F32 `[rows]`: element = code × scale.
    pub(crate) scales: BitNetTensor,
}

/// A weight of a block format in the tiles of `bitnet_kernels::grouped`, the bytes a tensor, so
/// that they live where the device wants them.
#[derive(Debug)]
pub struct GroupedWeight {
    pub(crate) format: BlockFormat,
    /// U8.
    pub(crate) tiles: BitNetTensor,
}
