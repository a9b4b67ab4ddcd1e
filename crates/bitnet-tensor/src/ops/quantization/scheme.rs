//! What numbers become when they are quantized, and which of them share a scale.

use crate::error::{Result, bail};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// Which whole numbers stand for the elements, and how the scale is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuantizationScheme {
    /// −1 for negative elements, else 1; the scale is `mean|x|`, which has the smallest squared
    /// error (Rastegari et al. 2016, "XNOR-Net").
    Binary,
    /// −1, 0 and 1.
    Ternary(TernaryScale),
    /// Around zero: `scale = max|x| / L` with `L = 2^(bits−1) − 1`, codes `I8` −L to L. Nothing is
    /// clamped, and −x gets the negative code of x (Wu et al. 2020, "Integer Quantization for Deep
    /// Learning Inference").
    Symmetric {
        /// Bits of a code, 2 to 8.
        bits: u32,
    },
    /// From the smallest to the largest element, widened to include zero, which is exact:
    /// `scale = (max − min) / (2^bits − 1)`, `zero point = −round(min / scale)`, codes `U8` 0 to
    /// 2^bits − 1 (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    /// Integer-Arithmetic-Only Inference").
    Asymmetric {
        /// Bits of a code, 2 to 8.
        bits: u32,
    },
}

/// The scale of ternary codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TernaryScale {
    /// `m = max(mean|x|, 1e-5)`, code = `x · (1/m)` rounded half to even and clamped: BitNet b1.58
    /// (Ma et al. 2024, "The Era of 1-bit LLMs").
    #[default]
    AbsMean,
    /// The same with the median of `|x|` (Nielsen and Schneider-Kamp 2024, "BitNet b1.58
    /// Reloaded").
    Median,
    /// The scale and codes of the smallest squared error. With the k largest magnitudes as ±1 the
    /// best scale is their mean, and what the error loses is `(their sum)² / k`: the k with the
    /// largest is taken (the ternary problem of Li et al. 2016, "Ternary Weight Networks", solved
    /// exactly).
    Optimal,
}

/// Which elements share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Granularity {
    /// All. Scales: `[]`.
    Tensor,
    /// Those of a row, the last axis. Scales: the shape without it.
    Row,
    /// Those of one place of this axis (a channel). Scales: one per place.
    Channel(isize),
    /// So many neighbours in a row; a row is a whole number of groups. Scales: the shape with the
    /// groups of a row as the last axis.
    Group(usize),
}

impl QuantizationScheme {
    /// Bits of a code; 2 for ternary ones.
    ///
    /// ```
    /// use bitnet_tensor::QuantizationScheme;
    /// assert_eq!(QuantizationScheme::Binary.bits(), 1);
    /// ```
    pub fn bits(self) -> u32 {
        match self {
            Self::Binary => 1,
            Self::Ternary(_) => 2,
            Self::Symmetric { bits } | Self::Asymmetric { bits } => bits,
        }
    }

    /// The smallest and the largest code.
    ///
    /// ```
    /// use bitnet_tensor::QuantizationScheme;
    /// assert_eq!(QuantizationScheme::Symmetric { bits: 4 }.codes(), (-7, 7));
    /// assert_eq!(QuantizationScheme::Asymmetric { bits: 4 }.codes(), (0, 15));
    /// ```
    pub fn codes(self) -> (i32, i32) {
        match self {
            Self::Binary | Self::Ternary(_) => (-1, 1),
            Self::Symmetric { bits } => {
                let limit = (1i32 << (bits.clamp(2, 8) - 1)) - 1;
                (-limit, limit)
            }
            Self::Asymmetric { bits } => (0, (1i32 << bits.clamp(2, 8)) - 1),
        }
    }

    /// The type of the codes.
    ///
    /// ```
    /// use bitnet_tensor::QuantizationScheme;
    /// let scheme = QuantizationScheme::Asymmetric { bits: 8 };
    /// assert_eq!(scheme.dtype(), bitnet_tensor::BitNetDType::U8);
    /// ```
    pub fn dtype(self) -> BitNetDType {
        match self {
            Self::Asymmetric { .. } => BitNetDType::U8,
            _ => BitNetDType::I8,
        }
    }

    /// Refuses bits that codes of eight bits do not hold.
    pub(super) fn check(self, name: &'static str, operands: &[&BitNetTensor]) -> Result<()> {
        match self {
            Self::Symmetric { bits } | Self::Asymmetric { bits } if !(2..=8).contains(&bits) => {
                bail!(ComputationError, name, operands, "{bits} bits are not 2 to 8")
            }
            _ => Ok(()),
        }
    }
}

/// How the elements of a tensor fall into blocks of one scale each.
pub(super) struct Blocks {
    /// The shape of the elements, with the elements of a block along axes of their own.
    pub(super) elements: TensorShape,
    /// These axes, never none but for a scalar: reductions take an empty list for all.
    pub(super) shared: Vec<isize>,
    /// The shape in which the scales are kept.
    pub(super) scales: TensorShape,
}

impl Blocks {
    pub(super) fn new(
        name: &'static str,
        x: &BitNetTensor,
        granularity: Granularity,
    ) -> Result<Self> {
        let shape = x.shape();
        let axes = 0..x.rank() as isize;
        let row = shape.split_last();
        Ok(match (granularity, row) {
            (Granularity::Tensor, _) => {
                Self { elements: shape.clone(), shared: axes.collect(), scales: [].into() }
            }
            (Granularity::Channel(axis), _) => {
                let Some(channel) = resolve_axis(axis, x.rank()) else {
                    bail!(ShapeMismatch, name, &[x], "there is no axis {axis}");
                };
                // A channel of a vector is one element: an axis for it.
                let single = (x.rank() == 1).then_some(1);
                let elements: TensorShape = shape.iter().copied().chain(single).collect();
                let shared = (0..elements.rank() as isize).filter(|&axis| axis != channel as isize);
                Self { shared: shared.collect(), elements, scales: [shape[channel]].into() }
            }
            (_, None) => bail!(ShapeMismatch, name, &[x], "a scalar has no rows"),
            (Granularity::Row, Some((_, leading))) => {
                let shared = vec![leading.len() as isize];
                Self { elements: shape.clone(), shared, scales: leading.into() }
            }
            (Granularity::Group(size), Some((&columns, leading))) => {
                if size == 0 || !columns.is_multiple_of(size) {
                    bail!(
                        ShapeMismatch,
                        name,
                        &[x],
                        "rows of {columns} are not a whole number of groups of {size}"
                    );
                }
                let scales: TensorShape = leading.iter().copied().chain([columns / size]).collect();
                let elements: TensorShape = scales.iter().copied().chain([size]).collect();
                Self { shared: vec![scales.rank() as isize], elements, scales }
            }
        })
    }

    /// The shape of scales that broadcast over the elements.
    pub(super) fn broadcast(&self) -> TensorShape {
        let sizes = self.elements.iter().enumerate();
        sizes.map(|(axis, &n)| if self.shared.contains(&(axis as isize)) { 1 } else { n }).collect()
    }
}
