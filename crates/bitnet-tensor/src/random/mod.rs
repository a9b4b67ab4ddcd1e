//! Random tensors from a generator that is seeded by hand: the same seed gives the same numbers on
//! every platform, however many threads compute them.
//!
//! Element `n` of a tensor is made from blocks of its own (see `philox`); a call advances the
//! generator by the blocks of its tensor, so calls in the same order give the same tensors.

mod philox;

use std::ops::Range;

use bitnet_kernels::parallel;

use crate::dtype::Number;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// A generator of random tensors.
///
/// ```
/// use bitnet_tensor::{BitNetDType::F32, random::Generator};
/// let (mut a, mut b) = (Generator::new(7), Generator::new(7));
/// let (x, y) = (a.normal([3], 0.0, 1.0, F32)?, b.normal([3], 0.0, 1.0, F32)?);
/// assert_eq!(x.to_vec::<f32>()?, y.to_vec::<f32>()?);
/// assert_ne!(x.to_vec::<f32>()?, a.normal([3], 0.0, 1.0, F32)?.to_vec::<f32>()?);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    seed: u64,
    /// The next block that no call has used.
    next: u64,
}

/// Elements that one piece of work makes.
const GRAIN: usize = 1 << 12;

impl Generator {
    /// A generator that begins its sequence anew.
    ///
    /// ```
    /// use bitnet_tensor::random::Generator;
    /// let x = Generator::new(5).permutation(4)?;
    /// assert_eq!(x.sort(0, false)?.0.to_vec::<i64>()?, [0, 1, 2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn new(seed: u64) -> Self {
        Self { seed, next: 0 }
    }

    /// Uniform numbers of `[low, high)`, of a float type: 53 random bits, rounded to the type.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType::F64, random::Generator};
    /// let x = Generator::new(1).uniform([1000], -1.0, 1.0, F64)?;
    /// assert!(x.to_vec::<f64>()?.iter().all(|x| (-1.0..1.0).contains(x)));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the type is a float, `InvalidTensor` for bounds that are not finite or
    /// in the wrong order, `MemoryError`.
    pub fn uniform(
        &mut self,
        shape: impl Into<TensorShape>,
        low: f64,
        high: f64,
        dtype: BitNetDType,
    ) -> Result<BitNetTensor> {
        float("uniform", dtype)?;
        if !(low <= high && (high - low).is_finite()) {
            bail!(InvalidTensor, "uniform", &[], "there is nothing between {low} and {high}");
        }
        let rounded = rounding(dtype);
        let (least, limit) = (rounded(low), rounded(high));
        let draw = |block| {
            let number = low + (high - low) * unit(block, 0);
            let rounded = rounded(number);
            // Rounding may reach the bound, which is excluded.
            if rounded < limit || rounded <= least { number } else { low }
        };
        self.numbers(shape.into(), draw)?.to_dtype(dtype)
    }

    /// Normally distributed numbers, of a float type, by Box and Muller's method in `f64`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType::F32, random::Generator};
    /// let x = Generator::new(1).normal([10_000], 5.0, 2.0, F32)?;
    /// assert!((x.mean(&[], false)?.item::<f32>()? - 5.0).abs() < 0.1);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the type is a float, `MemoryError`.
    pub fn normal(
        &mut self,
        shape: impl Into<TensorShape>,
        mean: f64,
        deviation: f64,
        dtype: BitNetDType,
    ) -> Result<BitNetTensor> {
        float("normal", dtype)?;
        let draw = |block: [u32; 4]| {
            // 1 − u is never zero.
            let radius = (-2.0 * libm::log(1.0 - unit(block, 0))).sqrt();
            mean + deviation * radius * libm::cos(std::f64::consts::TAU * unit(block, 2))
        };
        self.numbers(shape.into(), draw)?.to_dtype(dtype)
    }

    /// `true` with probability `p`.
    ///
    /// ```
    /// use bitnet_tensor::random::Generator;
    /// let x = Generator::new(1).bernoulli([4], 1.0)?;
    /// assert_eq!(x.to_vec::<bool>()?, [true; 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` unless `p` is in [0, 1], `MemoryError`.
    pub fn bernoulli(&mut self, shape: impl Into<TensorShape>, p: f64) -> Result<BitNetTensor> {
        if !(0.0..=1.0).contains(&p) {
            bail!(InvalidTensor, "bernoulli", &[], "{p} is no probability");
        }
        self.numbers(shape.into(), |block| unit(block, 0))?.lt(p)
    }

    /// Integers of `range`, equally likely, of an integer type.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType::U8, random::Generator};
    /// let dice = Generator::new(1).integers([100], 1..7, U8)?;
    /// assert!(dice.to_vec::<u8>()?.iter().all(|n| (1..7).contains(n)));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the type is an integer, `InvalidTensor` for an empty range, `MemoryError`.
    pub fn integers(
        &mut self,
        shape: impl Into<TensorShape>,
        range: Range<i64>,
        dtype: BitNetDType,
    ) -> Result<BitNetTensor> {
        if !dtype.is_integer() {
            bail!(DTypeMismatch, "integers", &[], "{dtype} is not a type of integers");
        }
        if range.is_empty() {
            bail!(InvalidTensor, "integers", &[], "{range:?} is empty");
        }
        let span = range.end.wrapping_sub(range.start) as u64;
        let shape = shape.into();
        let mut tensor = BitNetTensor::empty(shape, BitNetDType::I64, crate::Device::CPU)?;
        let first = self.take(tensor.element_count())?;
        let seed = self.seed;
        parallel::for_each_chunk_mut(tensor.try_mut::<i64>()?, GRAIN, |piece, chunk| {
            for (n, out) in chunk.iter_mut().enumerate() {
                let at = first + (piece * GRAIN + n) as u64;
                *out = range.start.wrapping_add(below(seed, at, span) as i64);
            }
        });
        tensor.to_dtype(dtype)
    }

    /// The numbers 0 to `n − 1` in random order, `I64 [n]`; every order is equally likely.
    ///
    /// ```
    /// use bitnet_tensor::random::Generator;
    /// let mut order = Generator::new(1).permutation(5)?.to_vec::<i64>()?;
    /// order.sort();
    /// assert_eq!(order, [0, 1, 2, 3, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn permutation(&mut self, n: usize) -> Result<BitNetTensor> {
        let first = self.take(n)?;
        let mut order: Vec<i64> = (0..n as i64).collect();
        // Fisher and Yates: place i takes one of the first i + 1.
        for i in (1..n).rev() {
            order.swap(i, below(self.seed, first + i as u64, i as u64 + 1) as usize);
        }
        BitNetTensor::try_from(order)
    }

    /// A number per element from its own block, `F64`.
    fn numbers(
        &mut self,
        shape: TensorShape,
        number: impl Fn([u32; 4]) -> f64 + Sync,
    ) -> Result<BitNetTensor> {
        let mut tensor = BitNetTensor::empty(shape, BitNetDType::F64, crate::Device::CPU)?;
        let first = self.take(tensor.element_count())?;
        let seed = self.seed;
        parallel::for_each_chunk_mut(tensor.try_mut::<f64>()?, GRAIN, |piece, chunk| {
            for (n, out) in chunk.iter_mut().enumerate() {
                *out = number(block(seed, first + (piece * GRAIN + n) as u64, 0));
            }
        });
        Ok(tensor)
    }

    /// The first of `count` blocks that nobody else gets.
    fn take(&mut self, count: usize) -> Result<u64> {
        let first = self.next;
        match first.checked_add(count as u64) {
            Some(next) => self.next = next,
            None => bail!(InvalidTensor, "random", &[], "the sequence of this seed is used up"),
        }
        Ok(first)
    }
}

/// What a float type makes of a number.
fn rounding(dtype: BitNetDType) -> fn(f64) -> f64 {
    fn through<T: Number>(x: f64) -> f64 {
        T::from_f64(x).to_f64()
    }
    match dtype {
        BitNetDType::F16 => through::<half::f16>,
        BitNetDType::BF16 => through::<half::bf16>,
        BitNetDType::F32 => through::<f32>,
        _ => through::<f64>,
    }
}

fn float(name: &'static str, dtype: BitNetDType) -> Result<()> {
    match dtype.is_float() {
        true => Ok(()),
        false => bail!(DTypeMismatch, name, &[], "{dtype} is not a float type"),
    }
}

/// Block `n` of a seed's sequence; `retry` counts blocks of the same element.
fn block(seed: u64, n: u64, retry: u32) -> [u32; 4] {
    philox::block([seed as u32, (seed >> 32) as u32], [n as u32, (n >> 32) as u32, retry, 0])
}

/// 53 bits of a block from number `from` on, as a number of [0, 1).
fn unit(block: [u32; 4], from: usize) -> f64 {
    bits(block, from) as f64 / (1u64 << 53) as f64
}

fn bits(block: [u32; 4], from: usize) -> u64 {
    (u64::from(block[from]) << 32 | u64::from(block[from + 1])) >> 11
}

/// A number below `span`, equally likely: draws that would favour some are drawn again (Lemire 2019,
/// "Fast Random Integer Generation in an Interval").
fn below(seed: u64, n: u64, span: u64) -> u64 {
    let mut retry = 0;
    loop {
        let block = block(seed, n, retry);
        let draw = u64::from(block[0]) << 32 | u64::from(block[1]);
        let product = u128::from(draw) * u128::from(span);
        if product as u64 >= span.wrapping_neg() % span {
            return (product >> 64) as u64;
        }
        retry = retry.wrapping_add(1);
    }
}
