//! Test data that is the same on every run and platform: a named generator with a seed.

use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};
use half::{bf16, f16};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A generator of test data.
#[derive(Debug, Clone)]
pub struct Random {
    bits: Xoshiro256PlusPlus,
}

impl Random {
    /// The same seed gives the same data.
    pub fn new(seed: u64) -> Self {
        Self { bits: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.bits.next_u64()
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    /// A number of [−1, 1), a multiple of 2⁻⁵².
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// `F32` numbers of [−1, 1).
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn floats(&mut self, shape: &[usize]) -> Result<BitNetTensor> {
        self.tensor(BitNetDType::F32, shape)
    }

    /// Numbers of `dtype` on the CPU: floats of [−1, 1), integers of up to 32 bits of their whole
    /// range, longer ones of 26 bits (so that the reference, which computes in `f64`, is exact).
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed types.
    pub fn tensor(&mut self, dtype: BitNetDType, shape: &[usize]) -> Result<BitNetTensor> {
        let count: usize = shape.iter().product();
        macro_rules! values {
            ($convert:expr) => {
                BitNetTensor::from_vec((0..count).map(|_| $convert(&mut *self)).collect(), shape)
            };
        }
        match dtype {
            BitNetDType::Bool => values!(|r: &mut Self| r.bits() & 1 == 1),
            BitNetDType::U8 => values!(|r: &mut Self| r.bits() as u8),
            BitNetDType::U16 => values!(|r: &mut Self| r.bits() as u16),
            BitNetDType::U32 => values!(|r: &mut Self| r.bits() as u32),
            BitNetDType::U64 => values!(|r: &mut Self| r.bits() >> 38),
            BitNetDType::I8 => values!(|r: &mut Self| r.bits() as i8),
            BitNetDType::I16 => values!(|r: &mut Self| r.bits() as i16),
            BitNetDType::I32 => values!(|r: &mut Self| r.bits() as i32),
            BitNetDType::I64 => values!(|r: &mut Self| r.bits() as i64 >> 38),
            BitNetDType::F16 => values!(|r: &mut Self| f16::from_f64(r.unit())),
            BitNetDType::BF16 => values!(|r: &mut Self| bf16::from_f64(r.unit())),
            BitNetDType::F32 => values!(|r: &mut Self| r.unit() as f32),
            BitNetDType::F64 => values!(|r: &mut Self| r.unit()),
            packed => BitNetTensor::empty(shape, packed, Device::CPU),
        }
    }

    /// `U32` indices below `limit`.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn indices(&mut self, limit: usize, shape: &[usize]) -> Result<BitNetTensor> {
        let count: usize = shape.iter().product();
        BitNetTensor::from_vec((0..count).map(|_| self.below(limit) as u32).collect(), shape)
    }
}

/// Numbers at which implementations differ: signed zeros, infinities, NaN, subnormal numbers,
/// the ends of the range of `f32` and of its exponential.
pub const SPECIAL: [f32; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    3e-40,
    -3e-40,
    88.5,
    89.0,
    -87.0,
    -95.0,
    -104.5,
    0.5,
    2.5,
    1e-20,
    -1e20,
];

/// [`SPECIAL`] as a tensor of a float type, on the CPU.
///
/// # Errors
/// When memory cannot be had.
pub fn special(dtype: BitNetDType) -> Result<BitNetTensor> {
    BitNetTensor::from_slice(&SPECIAL, [SPECIAL.len()])?.to_dtype(dtype)
}

/// Every pair of [`SPECIAL`] numbers, as two tensors of a float type.
///
/// # Errors
/// When memory cannot be had.
pub fn special_pairs(dtype: BitNetDType) -> Result<[BitNetTensor; 2]> {
    let pairs = SPECIAL.iter().flat_map(|&a| SPECIAL.iter().map(move |&b| (a, b)));
    let (first, second): (Vec<f32>, Vec<f32>) = pairs.unzip();
    let tensor = |values: Vec<f32>| BitNetTensor::try_from(values)?.to_dtype(dtype);
    Ok([tensor(first)?, tensor(second)?])
}

/// The same elements in different places of storage: row-major; behind other elements; every
/// second of an axis; backwards; with the first and last axis exchanged. Each with its name.
///
/// # Errors
/// When memory cannot be had.
pub fn layouts(x: &BitNetTensor) -> Result<Vec<(&'static str, BitNetTensor)>> {
    let mut variants = vec![("contiguous", x.clone())];
    let Some(&last) = x.shape().last() else {
        return Ok(variants);
    };
    variants.push(("transposed", x.transpose(0, -1)?.copy()?.transpose(0, -1)?));
    if x.element_count() > 0 {
        let first = x.shape()[0];
        let rows = BitNetTensor::cat(&[x, x, x], 0)?;
        variants.push(("offset", rows.narrow(0, first, first)?));
        let pair = BitNetTensor::cat(&[&x.unsqueeze(-1)?, &x.unsqueeze(-1)?], -1)?;
        let mut interleaved = x.shape().to_vec();
        interleaved[x.rank() - 1] *= 2;
        variants.push(("stepped", pair.reshape(interleaved)?.slice(-1, 1, last, 2)?));
        let backwards = x.slice(-1, last - 1, last, -1)?.copy()?;
        variants.push(("backwards", backwards.slice(-1, last - 1, last, -1)?));
    }
    Ok(variants)
}
