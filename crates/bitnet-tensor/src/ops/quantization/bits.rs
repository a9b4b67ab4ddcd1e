//! Codes of 1, 2 and 4 bits side by side in bytes.

use super::{Granularity, QuantizationScheme, Quantized};
use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// Refuses what bytes are not a whole number of.
fn codes_per_byte(name: &'static str, x: &BitNetTensor, bits: u32) -> Result<usize> {
    if x.dtype() != BitNetDType::U8 {
        bail!(DTypeMismatch, name, &[x], "takes u8");
    }
    if resolve_axis(-1, x.rank()).is_none() {
        bail!(ShapeMismatch, name, &[x], "a scalar has no rows");
    }
    match bits {
        1 | 2 | 4 | 8 => Ok(8 / bits as usize),
        _ => bail!(ComputationError, name, &[x], "{bits} bits are none of 1, 2, 4 and 8"),
    }
}

/// The sizes with another last one.
fn with_last(x: &BitNetTensor, last: &[usize]) -> TensorShape {
    x.shape()[..x.rank() - 1].iter().chain(last).copied().collect()
}

/// # Packed bits
impl BitNetTensor {
    /// The low `bits` (1, 2, 4 or 8) of each `U8`, packed along the last axis: the first element
    /// in the low bits of the first byte. A row begins with a new byte; what is left of its last one
    /// is 0.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let codes = BitNetTensor::try_from(vec![1u8, 2, 3, 0, 2])?;
    /// assert_eq!(codes.pack_bits(2)?.to_vec::<u8>()?, [0b00_11_10_01, 0b10]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless `U8`, `ShapeMismatch` for a scalar, `ComputationError` for other bits.
    pub fn pack_bits(&self, bits: u32) -> Result<Self> {
        let per_byte = codes_per_byte("pack_bits", self, bits)?;
        composed("pack_bits", &[self], || {
            if per_byte == 1 {
                return self.contiguous();
            }
            let columns = self.shape()[self.rank() - 1];
            let bytes = columns.div_ceil(per_byte);
            let padding = BitNetTensor::zeros(
                with_last(self, &[bytes * per_byte - columns]),
                BitNetDType::U8,
            )?;
            let codes = Self::cat(&[self, &padding.to_device(self.device())?], -1)?;
            let codes = codes.bitand(0xffu8 >> (8 - bits))?;
            let codes = codes.reshape(with_last(self, &[bytes, per_byte]))?;
            let mut packed = codes.narrow(-1, 0, 1)?;
            for place in 1..per_byte {
                let shift = place as u32 * bits;
                packed = packed.bitor(&codes.narrow(-1, place, 1)?.shl(shift)?)?;
            }
            packed.reshape(with_last(self, &[bytes]))
        })
    }

    /// The first `columns` codes of `bits` (1, 2, 4 or 8) in each row of bytes: what
    /// [`pack_bits`](Self::pack_bits) packed.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let bytes = BitNetTensor::try_from(vec![0b00_11_10_01u8, 0b10])?;
    /// assert_eq!(bytes.unpack_bits(2, 5)?.to_vec::<u8>()?, [1, 2, 3, 0, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`pack_bits`](Self::pack_bits), and `ShapeMismatch` when rows are not of as many bytes as
    /// the columns fill.
    pub fn unpack_bits(&self, bits: u32, columns: usize) -> Result<Self> {
        let per_byte = codes_per_byte("unpack_bits", self, bits)?;
        let bytes = self.shape()[self.rank() - 1];
        if columns.div_ceil(per_byte) != bytes {
            bail!(
                ShapeMismatch,
                "unpack_bits",
                &[self],
                "{columns} codes of {bits} bits are not {bytes} bytes"
            );
        }
        composed("unpack_bits", &[self], || {
            let shifts: Vec<u8> = (0..per_byte).map(|place| (place as u32 * bits) as u8).collect();
            let shifts = BitNetTensor::try_from(shifts)?.to_device(self.device())?;
            let codes = self.unsqueeze(-1)?.shr(&shifts)?.bitand(0xffu8 >> (8 - bits))?;
            codes
                .reshape(with_last(self, &[bytes * per_byte]))?
                .narrow(-1, 0, columns)?
                .contiguous()
        })
    }
}

impl Quantized {
    /// The codes in bytes, `U8`, each as its distance from the smallest code of the scheme: −1, 0
    /// and 1 as 0, 1 and 2. Codes of 1, 2, 4 and 8 bits lie side by side, in the order of
    /// [`pack_bits`](BitNetTensor::pack_bits); those of 3 bits take 4, of 5 to 7 bits 8. The two
    /// binary codes are 0 and 1.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, Quantized};
    /// let x = BitNetTensor::from_vec(vec![1.0f32, -1.0, 0.1, 1.0], [1, 4])?;
    /// let scheme = QuantizationScheme::Ternary(Default::default());
    /// let q = x.quantize(scheme, Granularity::Row)?;
    /// let bytes = q.pack()?;
    /// assert_eq!(bytes.to_vec::<u8>()?, [0b10_01_00_10]);
    /// let again = Quantized::unpack(&bytes, 4, q.scales().clone(), None, scheme, Granularity::Row)?;
    /// assert_eq!(again.codes().to_vec::<i8>()?, [1, -1, 0, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for a scalar, `ComputationError` when a code is none of the scheme.
    pub fn pack(&self) -> Result<BitNetTensor> {
        let scheme = self.scheme();
        check_codes("pack", self.codes(), scheme)?;
        composed("pack", &[self.codes()], || {
            let (low, _) = scheme.codes();
            let distances = self.codes().to_dtype(BitNetDType::I16)?.sub(low)?;
            let distances = match scheme {
                QuantizationScheme::Binary => distances.shr(1)?,
                _ => distances,
            };
            distances.to_dtype(BitNetDType::U8)?.pack_bits(stored_bits(scheme))
        })
    }

    /// What [`pack`](Self::pack) packed, of rows of `columns` codes; the other parts as in
    /// [`from_parts`](Self::from_parts).
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, Quantized};
    /// let (bytes, scale) = (BitNetTensor::try_from(vec![0b10_01_00_10u8])?, 0.5f32);
    /// let scheme = QuantizationScheme::Ternary(Default::default());
    /// let scale = BitNetTensor::scalar(scale)?;
    /// let q = Quantized::unpack(&bytes, 3, scale, None, scheme, Granularity::Tensor)?;
    /// assert_eq!(q.dequantize()?.to_vec::<f32>()?, [0.5, -0.5, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_parts`](Self::from_parts); `ShapeMismatch` when the bytes are not those of so many
    /// codes, `ComputationError` when a code is none of the scheme.
    pub fn unpack(
        bytes: &BitNetTensor,
        columns: usize,
        scales: BitNetTensor,
        zero_points: Option<BitNetTensor>,
        scheme: QuantizationScheme,
        granularity: Granularity,
    ) -> Result<Self> {
        const NAME: &str = "unpack";
        scheme.check(NAME, &[bytes])?;
        let codes = composed(NAME, &[bytes], || {
            let (low, _) = scheme.codes();
            let distances = bytes.unpack_bits(stored_bits(scheme), columns)?;
            let distances = distances.to_dtype(BitNetDType::I16)?;
            let distances = match scheme {
                QuantizationScheme::Binary => distances.shl(1)?,
                _ => distances,
            };
            let codes = distances.add(low)?;
            check_codes(NAME, &codes, scheme)?;
            codes.to_dtype(scheme.dtype())
        })?;
        Self::from_parts(codes, scales, zero_points, scheme, granularity)
    }
}

/// Bits of a code in a byte: a byte is a whole number of codes.
fn stored_bits(scheme: QuantizationScheme) -> u32 {
    scheme.bits().next_power_of_two()
}

/// Refuses codes that the scheme does not have.
fn check_codes(name: &'static str, codes: &BitNetTensor, scheme: QuantizationScheme) -> Result<()> {
    let (low, high) = scheme.codes();
    let outside = composed(name, &[codes], || {
        let codes = codes.to_dtype(BitNetDType::I16)?;
        let mut outside = codes.lt(low)?.logical_or(&codes.gt(high)?)?;
        if scheme == QuantizationScheme::Binary {
            outside = outside.logical_or(&codes.eq(0)?)?;
        }
        outside.any(&[], false)?.item::<bool>()
    })?;
    if outside {
        bail!(ComputationError, name, &[codes], "a code is none of {scheme:?}");
    }
    Ok(())
}
