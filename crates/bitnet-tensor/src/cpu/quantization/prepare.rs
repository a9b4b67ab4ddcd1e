//! Weights brought into the layouts that the kernels read: tiles of codes where each row has one
//! scale, else tiles of groups.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bitnet_kernels::blocks::BlockFormat;
use bitnet_kernels::grouped::{GroupedLayout, pack_grouped};
use bitnet_kernels::ternary::{pack_words, words_byte_len};
use bitnet_kernels::tiled::{self, TileEncoding, TiledLayout};
use bitnet_kernels::{Cpu, parallel};

use super::codes::{CodeRows, fail_if_any, keep_first};
use crate::cpu::linalg::operand_error;
use crate::error::{Result, bail};
use crate::storage::CodeLayout;
use crate::{BitNetDType, BitNetTensor, Device};

const NAME: &str = "prepare_weight";

pub(in crate::cpu) fn prepare_weight(
    cpu: Cpu,
    parts: &[&BitNetTensor],
    device: Device,
) -> Result<BitNetTensor> {
    if let [weight] = parts {
        let tiled = matches!(weight.packed_parts(), Some((CodeLayout::Tiled(_), ..)));
        if tiled || weight.grouped_parts().is_some() {
            return Ok((*weight).clone());
        }
    }
    if parts.iter().all(|part| CodeRows::has(part))
        && let Some(encoding) = encoding(cpu, parts)
        && let Some(weight) = packed(CodeLayout::Tiled(encoding), parts, device)?
    {
        return Ok(weight);
    }
    let mut types = parts.iter().map(|part| part.dtype());
    match types.next() {
        Some(first @ BitNetDType::Block(format)) if types.all(|dtype| dtype == first) => {
            grouped(format, parts, device)
        }
        _ => bail!(
            DTypeMismatch,
            NAME,
            parts,
            "the weights are neither all ternary, nor all int6, nor of one block format"
        ),
    }
}

/// Where the rows of several parts are, one part below the other.
struct Stack {
    /// The row at which each part ends.
    ends: Vec<usize>,
}

impl Stack {
    fn new(rows: impl Iterator<Item = usize>) -> Self {
        let ends = rows.scan(0usize, |end, rows| {
            *end = end.saturating_add(rows);
            Some(*end)
        });
        Self { ends: ends.collect() }
    }

    fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The part that holds `row`, and its number there.
    fn find(&self, row: usize) -> (usize, usize) {
        let part = self.ends.partition_point(|&end| end <= row);
        (part, row - part.checked_sub(1).map_or(0, |before| self.ends[before]))
    }
}

/// The tiles that all parts fit, if they are of one type.
fn encoding(cpu: Cpu, parts: &[&BitNetTensor]) -> Option<TileEncoding> {
    let is_int6 = |part: &&BitNetTensor| part.dtype() == BitNetDType::Int6;
    match parts.iter().filter(|part| is_int6(part)).count() {
        0 => Some(TileEncoding::best_ternary(cpu, parts.first()?.shape()[1])),
        count => (count == parts.len()).then_some(TileEncoding::SixBit),
    }
}

/// The ternary or 6-bit weights `parts`, all on the host, one below the other in `layout`: how a
/// backend brings them into the form that its kernels read. `None` where a row has several scales, or
/// codes that the layout has not.
///
/// ```
/// use bitnet_tensor::cpu::pack_weight;
/// use bitnet_tensor::{BitNetTensor, CodeLayout};
/// let weight = BitNetTensor::from_vec(vec![1.0f32, -1.0, 0.0, 1.0], [2, 2])?.ternarize()?;
/// let packed = pack_weight(CodeLayout::Words, &[&weight, &weight])?.expect("one scale for each row");
/// assert_eq!(packed.shape(), &[4, 2]);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
///
/// # Errors
/// `ComputationError` when a code stands for no weight, `DTypeMismatch` for other tensors,
/// `UnsupportedOperation` for the layouts of files.
pub fn pack_weight(layout: CodeLayout, parts: &[&BitNetTensor]) -> Result<Option<BitNetTensor>> {
    if !parts.iter().all(|part| CodeRows::has(part)) {
        bail!(DTypeMismatch, NAME, parts, "takes ternary and int6 weights");
    }
    if layout.dtype() == BitNetDType::Ternary
        && parts.iter().any(|part| part.dtype() == BitNetDType::Int6)
    {
        return Ok(None);
    }
    packed(layout, parts, Device::CPU)
}

/// The parts as one weight in `layout`; `None` where a row has several scales or other codes.
fn packed(
    layout: CodeLayout,
    parts: &[&BitNetTensor],
    device: Device,
) -> Result<Option<BitNetTensor>> {
    let sources: Vec<CodeRows<'_>> =
        parts.iter().map(|part| CodeRows::new(part)).collect::<Result<_>>()?;
    let columns = sources.first().map_or(0, |source| source.columns);
    let stack = Stack::new(sources.iter().map(|source| source.rows));
    let rows = stack.rows();
    let failed = |cause| operand_error(NAME, parts, cause);

    let scales: Vec<AtomicU32> = (0..rows).map(|_| AtomicU32::new(0)).collect();
    let (several, failure) = (AtomicBool::new(false), Mutex::new(None));
    let fill_row = |row: usize, out: &mut [i8]| {
        if several.load(Ordering::Relaxed) {
            return out.fill(0); // in vain
        }
        let (part, own_row) = stack.find(row);
        match sources[part].read(own_row, out) {
            Ok(Some(scale)) => scales[row].store(scale.to_bits(), Ordering::Relaxed),
            Ok(None) => {
                out.fill(0);
                several.store(true, Ordering::Relaxed);
            }
            Err(cause) => {
                out.fill(0);
                keep_first(&failure, row, cause);
            }
        }
    };
    let bytes = |length| BitNetTensor::empty([length], BitNetDType::U8, device);
    let codes = match layout {
        CodeLayout::Tiled(encoding) => {
            let tiles = TiledLayout::new(encoding, rows, columns).map_err(failed)?;
            let mut codes = bytes(tiles.byte_len())?;
            tiled::pack(tiles, codes.try_mut()?, fill_row).map_err(failed)?;
            codes
        }
        CodeLayout::Words => {
            let mut codes = bytes(words_byte_len(rows, columns).map_err(failed)?)?;
            pack_words(rows, columns, fill_row, codes.try_mut()?).map_err(failed)?;
            codes
        }
        CodeLayout::Int6Bytes | CodeLayout::Bytes => {
            let mut codes = BitNetTensor::empty([rows, columns], BitNetDType::I8, device)?;
            if columns > 0 {
                parallel::for_each_chunk_mut(codes.try_mut()?, columns, fill_row);
            }
            codes
        }
        CodeLayout::HuggingFace | CodeLayout::I2S(_) => {
            bail!(UnsupportedOperation, NAME, parts, "{layout:?} is a layout of files")
        }
    };
    fail_if_any(failure, NAME, parts)?;
    if several.into_inner() {
        return Ok(None);
    }
    let scales: Vec<f32> =
        scales.into_iter().map(|bits| f32::from_bits(bits.into_inner())).collect();
    let scales = BitNetTensor::from_vec(scales, [rows])?.to_device(device)?;
    BitNetTensor::packed_from_parts(layout, codes, scales, [rows, columns]).map(Some)
}

/// The parts, all of one format, as one weight in tiles of groups.
fn grouped(format: BlockFormat, parts: &[&BitNetTensor], device: Device) -> Result<BitNetTensor> {
    let failed = |cause| operand_error(NAME, parts, cause);
    let columns = parts.first().map_or(0, |part| part.shape()[1]);
    let sources: Vec<&[u8]> = parts.iter().map(|part| part.block_bytes()).collect::<Result<_>>()?;
    let stack = Stack::new(parts.iter().map(|part| part.shape()[0]));
    let layout = GroupedLayout::new(format, stack.rows(), columns).map_err(failed)?;
    let row_bytes = format.row_bytes(columns).map_err(failed)?;
    let mut tiles = BitNetTensor::empty([layout.byte_len()], BitNetDType::U8, device)?;
    let row = |row: usize| {
        let (part, own_row) = stack.find(row);
        &sources[part][own_row * row_bytes..][..row_bytes]
    };
    pack_grouped(layout, row, tiles.try_mut()?).map_err(failed)?;
    BitNetTensor::grouped_from_parts(format, tiles, [stack.rows(), columns])
}
