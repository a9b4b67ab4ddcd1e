//! The block types of GGUF files as element types, and which of two layouts an I2_S tensor has.

use bitnet_formats::gguf::GgmlType;
use bitnet_kernels::ternary::{I2sBlock, i2_s_block_evidence};
use bitnet_tensor::{BitNetDType, BlockFormat};

/// By how much a block length of I2_S has to explain the weights better than the other before it is
/// believed, in standard deviations of what chance makes of it.
const I2_S_EVIDENCE: f64 = 4.0;

/// Why an I2_S tensor is refused whose blocks could be of either length.
pub(crate) const I2_S_UNSURE: &str = "is I2_S, and nothing tells whether its blocks have 128 weights, \
     as in published files, or 64, as ARM builds of bitnet.cpp write them since January 2026: name it \
     (--i2-s-block 128, ModelFiles::with_i2_s_block)";

/// The element type of a tensor of that type.
pub(super) fn dtype(ty: GgmlType) -> Result<BitNetDType, String> {
    format(ty).map(BitNetDType::Block).ok_or_else(|| refusal(ty))
}

/// Whether a tensor of that type can be ternary: by definition, or by the codes that occur.
pub(super) fn may_be_ternary(ty: GgmlType) -> bool {
    ty == GgmlType::I2_S || format(ty).is_some_and(BlockFormat::has_ternary_codes)
}

/// How far one I2_S tensor speaks for blocks of 64 values and against blocks of 128: the difference
/// of what each explains. `norm` is the weight of the norm before it.
pub(super) fn evidence_for_64(
    bytes: &[u8],
    [rows, columns]: [usize; 2],
    norm: &[f32],
) -> Option<f64> {
    let magnitudes: Vec<f32> = norm.iter().map(|weight| weight.abs()).collect();
    let (of_128, of_64) = i2_s_block_evidence(bytes, rows, columns, &magnitudes).ok()?;
    Some(of_64.abs() - of_128.abs())
}

/// The block length that [`evidence_for_64`] of several tensors of so many columns speaks for; `None`
/// where it could be chance.
pub(super) fn i2_s_block(evidence: &[(f64, usize)]) -> Option<I2sBlock> {
    // Weighted by columns: the correlation of n numbers with as many that have nothing to do with
    // them has the variance 1/n, and of two such the difference is taken.
    let columns = evidence.iter().map(|(_, columns)| *columns as f64).sum::<f64>();
    let total = evidence.iter().map(|(of, columns)| of * *columns as f64).sum::<f64>();
    let deviations = total / (2.0 * columns).sqrt();
    match deviations {
        d if d > I2_S_EVIDENCE => Some(I2sBlock::Of64),
        d if d < -I2_S_EVIDENCE => Some(I2sBlock::Of128),
        _ => None,
    }
}

fn format(ty: GgmlType) -> Option<BlockFormat> {
    BlockFormat::ALL.into_iter().find(|format| format.name() == ty.name())
}

pub(crate) fn refusal(ty: GgmlType) -> String {
    match ty.refusal() {
        Some(reason) => format!("is {ty}, which {reason}"),
        None => {
            let names: Vec<_> = BlockFormat::ALL.iter().map(|format| format.name()).collect();
            format!("is {ty}, which is not supported (supported: I2_S, {})", names.join(", "))
        }
    }
}
