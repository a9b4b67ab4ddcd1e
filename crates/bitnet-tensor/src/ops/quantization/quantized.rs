//! [`Quantized`]: codes with their scales, and the way back to numbers.

use super::scheme::{Blocks, Granularity, QuantizationScheme};
use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::storage::CodeLayout;
use crate::{BitNetDType, BitNetTensor};

/// A tensor as whole numbers of few bits: element = (code − zero point) × scale.
///
/// Made by [`BitNetTensor::quantize`]. The codes have the shape of the tensor; the scales and zero
/// points the shape that their [`Granularity`] says.
///
/// ```
/// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
/// let x = BitNetTensor::from_vec(vec![0.5f32, -1.75, 1.0, 0.0], [2, 2])?;
/// let q = x.quantize(QuantizationScheme::Symmetric { bits: 4 }, Granularity::Tensor)?;
/// assert_eq!(q.codes().to_vec::<i8>()?, [2, -7, 4, 0]); // the scale is 1.75 / 7
/// assert_eq!(q.dequantize()?.to_vec::<f32>()?, [0.5, -1.75, 1.0, 0.0]);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Quantized {
    codes: BitNetTensor,
    scales: BitNetTensor,
    zero_points: Option<BitNetTensor>,
    scheme: QuantizationScheme,
    granularity: Granularity,
}

impl Quantized {
    /// Codes from elsewhere. `codes` are of the scheme's type ([`QuantizationScheme::dtype`]),
    /// `scales` floats and `zero_points` integers in the shape of the granularity. Codes outside
    /// of the scheme's range are refused when they are packed or become a weight.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, Quantized};
    /// let codes = BitNetTensor::from_vec(vec![1i8, 0, -1, -1], [2, 2])?;
    /// let scales = BitNetTensor::try_from(vec![0.5f32, 2.0])?;
    /// let scheme = QuantizationScheme::Ternary(Default::default());
    /// let q = Quantized::from_parts(codes, scales, None, scheme, Granularity::Row)?;
    /// assert_eq!(q.dequantize()?.to_vec::<f32>()?, [0.5, 0.0, -2.0, -2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ComputationError` for bits that a code does not have, `DTypeMismatch`, `ShapeMismatch`.
    pub fn from_parts(
        codes: BitNetTensor,
        scales: BitNetTensor,
        zero_points: Option<BitNetTensor>,
        scheme: QuantizationScheme,
        granularity: Granularity,
    ) -> Result<Self> {
        const NAME: &str = "quantized_from_parts";
        let operands: Vec<&BitNetTensor> =
            [&codes, &scales].into_iter().chain(&zero_points).collect();
        scheme.check(NAME, &operands)?;
        let zero_points_fit = zero_points.as_ref().is_none_or(|z| z.dtype().is_integer());
        if codes.dtype() != scheme.dtype() || !scales.dtype().is_float() || !zero_points_fit {
            bail!(
                DTypeMismatch,
                NAME,
                &operands,
                "takes {} codes, scales of floats and zero points of integers",
                scheme.dtype()
            );
        }
        let blocks = Blocks::new(NAME, &codes, granularity)?;
        if operands[1..].iter().any(|part| *part.shape() != blocks.scales) {
            bail!(
                ShapeMismatch,
                NAME,
                &operands,
                "{granularity:?} takes scales {} for these codes",
                blocks.scales
            );
        }
        Ok(Self { codes, scales, zero_points, scheme, granularity })
    }

    /// The codes, `I8` or `U8`, in the shape of the tensor.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 3.0, -1.0, 0.5], [2, 2])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Row)?;
    /// assert_eq!(q.codes().to_vec::<u8>()?, [0, 3, 0, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn codes(&self) -> &BitNetTensor {
        &self.codes
    }

    /// The scales, `F32`; `F64` of an `F64` tensor.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 3.0, -1.0, 0.5], [2, 2])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Row)?;
    /// assert_eq!(q.scales().to_vec::<f32>()?, [1.0, 0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn scales(&self) -> &BitNetTensor {
        &self.scales
    }

    /// The codes of zero, `I32`; `None` where that is the code 0.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 3.0, -1.0, 0.5], [2, 2])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Row)?;
    /// assert_eq!(q.zero_points().unwrap().to_vec::<i32>()?, [0, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn zero_points(&self) -> Option<&BitNetTensor> {
        self.zero_points.as_ref()
    }

    /// What the codes are.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 3.0, -1.0, 0.5], [2, 2])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Row)?;
    /// assert_eq!(q.scheme(), QuantizationScheme::Asymmetric { bits: 2 });
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn scheme(&self) -> QuantizationScheme {
        self.scheme
    }

    /// Which elements share a scale.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 3.0, -1.0, 0.5], [2, 2])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Row)?;
    /// assert_eq!(q.granularity(), Granularity::Row);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// Bits of a code.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 3.0, -1.0, 0.5], [2, 2])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Row)?;
    /// assert_eq!(q.bits(), 2);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn bits(&self) -> u32 {
        self.scheme.bits()
    }

    /// The numbers that the codes stand for, in the type of the scales.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::try_from(vec![-3.0f32, 1.0, 2.0])?;
    /// let q = x.quantize(QuantizationScheme::Binary, Granularity::Tensor)?;
    /// assert_eq!(q.dequantize()?.to_vec::<f32>()?, [-2.0, 2.0, 2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn dequantize(&self) -> Result<BitNetTensor> {
        composed("dequantize", &[&self.codes, &self.scales], || {
            let blocks = Blocks::new("dequantize", &self.codes, self.granularity)?;
            let scales = self.scales.reshape(blocks.broadcast())?;
            let mut numbers =
                self.codes.to_dtype(self.scales.dtype())?.reshape(&blocks.elements)?;
            if let Some(zero_points) = &self.zero_points {
                let zeros = zero_points.to_dtype(scales.dtype())?.reshape(blocks.broadcast())?;
                numbers = numbers.sub(&zeros)?;
            }
            numbers.mul(&scales)?.reshape(self.codes.shape())
        })
    }

    /// Ternary codes of a matrix, or symmetric ones of up to six bits, with a scale for all or per
    /// row, as a weight for [`linear`](BitNetTensor::linear): a tensor of type `Ternary` or `Int6`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, TernaryScale};
    /// let w = BitNetTensor::from_vec(vec![0.9f32, -0.1, 0.2, -0.4], [2, 2])?;
    /// let q = w.quantize(QuantizationScheme::Ternary(TernaryScale::Optimal), Granularity::Row)?;
    /// let weight = BitNetTensor::prepare_weight(&[&q.to_weight()?])?;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 0.0], [1, 2])?;
    /// assert_eq!(x.linear(&weight)?.to_vec::<f32>()?[0], 0.9);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` unless the codes and the scales are as said,
    /// `ShapeMismatch` unless they are a matrix.
    pub fn to_weight(&self) -> Result<BitNetTensor> {
        const NAME: &str = "to_weight";
        let operands = &[&self.codes, &self.scales];
        let layout = match self.scheme {
            QuantizationScheme::Ternary(_) => CodeLayout::Bytes,
            QuantizationScheme::Symmetric { bits: ..=6 } => CodeLayout::Int6Bytes,
            _ => {
                let reason = "the codes are neither ternary nor symmetric in six bits";
                bail!(UnsupportedOperation, NAME, operands, "{reason}");
            }
        };
        let &[rows, columns] = &**self.codes.shape() else {
            bail!(ShapeMismatch, NAME, operands, "takes a matrix");
        };
        if !matches!(
            self.granularity,
            Granularity::Tensor | Granularity::Row | Granularity::Channel(0 | -2)
        ) {
            bail!(UnsupportedOperation, NAME, operands, "a weight has one scale for each row");
        }
        composed(NAME, operands, || {
            let scales = self.scales.to_dtype(BitNetDType::F32)?.expand([rows])?.contiguous()?;
            let codes = self.codes.contiguous()?;
            BitNetTensor::packed_from_parts(layout, codes, scales, [rows, columns])
        })
    }
}
