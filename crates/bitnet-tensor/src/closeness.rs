//! Whether two tensors agree, and where they differ most when they do not.
//!
//! Elements are read on the host by the definition of the layout, so that the comparison does not
//! lean on the operations that it checks. Integers are compared exactly, whatever their width.

use std::fmt;

use crate::dtype::{Number, with_number_type};
use crate::error::{Result, bail};
use crate::ops::broadcast_shape;
use crate::{BitNetDType, BitNetTensor, Device, TensorShape};

/// How two tensors differ, as a sentence of its [`Display`](fmt::Display).
///
/// ```
/// use bitnet_tensor::{BitNetTensor, Mismatch};
/// let got = BitNetTensor::try_from(vec![1.0f32, 2.5, 3.0])?;
/// let want = BitNetTensor::try_from(vec![1.0f32, 2.0, 3.0])?;
/// let mismatch = Mismatch::find(&got, &want, |pair| pair.is_close(1e-5, 1e-8, false))?;
/// assert_eq!(
///     mismatch.map(|mismatch| mismatch.to_string()).as_deref(),
///     Some(
///         "1 of 3 elements differs: the greatest absolute difference is 0.5 at [1] (2.5, want 2.0), \
///          the greatest relative one 0.25 at [1] (2.5, want 2.0)"
///     )
/// );
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The types or the shapes differ.
    Kind {
        /// What there is.
        got: (BitNetDType, TensorShape),
        /// What should be.
        want: (BitNetDType, TensorShape),
    },
    /// Elements differ.
    Elements {
        /// How many.
        differing: usize,
        /// Of how many.
        count: usize,
        /// The one with the greatest `|got − want|`; infinite where one of them is NaN.
        absolute: Box<Difference>,
        /// The one with the greatest `|got − want| / |want|`.
        relative: Box<Difference>,
    },
}

/// An element of two tensors that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its index along each axis.
    pub index: Vec<usize>,
    /// How much it differs.
    pub size: f64,
    /// What there is, as the number is written in the source.
    pub got: String,
    /// What should be.
    pub want: String,
}

/// Two elements that are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// What there is, as the nearest `f64`.
    pub got: f64,
    /// What should be, as the nearest `f64`.
    pub want: f64,
    /// The distance, exact for integers: 0 for equal elements (an infinity and itself, the two
    /// zeros), infinite where exactly one is NaN, NaN where both are.
    pub difference: f64,
}

impl Pair {
    /// Whether `|got − want| ≤ atol + rtol · |want|`, as NumPy and PyTorch have it: an infinity is
    /// close to itself only, NaN to NaN if `equal_nan`.
    pub fn is_close(&self, rtol: f64, atol: f64, equal_nan: bool) -> bool {
        if self.difference.is_nan() {
            return equal_nan;
        }
        let close = self.difference <= atol + rtol * self.want.abs();
        self.difference == 0.0 || (close && self.difference.is_finite() && self.want.is_finite())
    }

    fn relative(&self) -> f64 {
        match self.difference / self.want.abs() {
            // NaN, or infinity of infinity.
            ratio if ratio.is_nan() => f64::INFINITY,
            ratio => ratio,
        }
    }
}

impl Mismatch {
    /// What differs by a rule of one's own; `None` when type and shape are the same and all pairs
    /// of elements are allowed.
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights, whose parts are compared; the failure of a device
    /// to give its elements.
    pub fn find(
        got: &BitNetTensor,
        want: &BitNetTensor,
        allows: impl Fn(&Pair) -> bool,
    ) -> Result<Option<Self>> {
        if (got.dtype(), got.shape()) != (want.dtype(), want.shape()) {
            let kind = |x: &BitNetTensor| (x.dtype(), x.shape().clone());
            return Ok(Some(Self::Kind { got: kind(got), want: kind(want) }));
        }
        let (a, b) = (Elements::read(got)?, Elements::read(want)?);
        let count = got.element_count();
        let (mut differing, mut absolute, mut relative) = (0, (-1.0, 0), (-1.0, 0));
        for n in 0..count {
            let pair = a.pair(&b, n);
            if allows(&pair) {
                continue;
            }
            differing += 1;
            // Two NaN that a rule does not take for equal have no distance.
            let distance = if pair.difference.is_nan() { 0.0 } else { pair.difference };
            if distance > absolute.0 {
                absolute = (distance, n);
            }
            if pair.relative() > relative.0 {
                relative = (pair.relative(), n);
            }
        }
        if differing == 0 {
            return Ok(None);
        }
        let at = |(size, n): (f64, usize)| {
            Box::new(Difference {
                index: index(got.shape(), n),
                size,
                got: a.text(n),
                want: b.text(n),
            })
        };
        let (absolute, relative) = (at(absolute), at(relative));
        Ok(Some(Self::Elements { differing, count, absolute, relative }))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { got, want } if got.1 == want.1 => {
                write!(f, "the type is {}, want {}", got.0, want.0)
            }
            Self::Kind { got, want } if got.0 == want.0 => {
                write!(f, "the shape is {}, want {}", got.1, want.1)
            }
            Self::Kind { got, want } => {
                write!(f, "type and shape are {}{}, want {}{}", got.0, got.1, want.0, want.1)
            }
            Self::Elements { differing, count, absolute, relative } => {
                let plural = if *count == 1 { "" } else { "s" };
                let differ = if *differing == 1 { "differs" } else { "differ" };
                write!(f, "{differing} of {count} element{plural} {differ}: ")?;
                write!(f, "the greatest absolute difference is {absolute}, ")?;
                write!(f, "the greatest relative one {relative}")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, index) = (self.size, &self.index);
        if size == 0.0 || (1e-3..1e6).contains(&size) {
            write!(f, "{size} at {index:?} ")?;
        } else {
            write!(f, "{size:e} at {index:?} ")?;
        }
        write!(f, "({}, want {})", self.got, self.want)
    }
}

/// # Closeness
impl BitNetTensor {
    /// Whether `|x − other| ≤ atol + rtol · |other|` everywhere: NumPy's `allclose`. Shapes
    /// broadcast, types may differ, NaN is close to nothing. [`mismatch`](Self::mismatch) says where
    /// it is not so, and [`assert_close`] is for tests.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert!(x.allclose(&x.add(1e-6)?, 1e-5, 1e-8)?);
    /// assert!(!x.allclose(&BitNetTensor::scalar(1.0f64)?, 1e-5, 1e-8)?);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `BroadcastError`; `UnsupportedOperation` for packed weights.
    pub fn allclose(&self, other: &Self, rtol: f64, atol: f64) -> Result<bool> {
        let shape = broadcast_shape("allclose", &[self, other])?;
        let (a, b) = (self.expand(shape.clone())?, other.expand(shape)?);
        let (values, others) = (Elements::read(&a)?, Elements::read(&b)?);
        let mut pairs = (0..a.element_count()).map(|n| values.pair(&others, n));
        Ok(pairs.all(|pair| pair.is_close(rtol, atol, false)))
    }

    /// Where this tensor is not close to `want`, by [`Pair::is_close`]; `None` when type and shape
    /// are the same and every element is.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let (x, y) = (BitNetTensor::scalar(f32::NAN)?, BitNetTensor::scalar(1.0f32)?);
    /// assert!(x.mismatch(&x, 0.0, 0.0, true)?.is_none());
    /// assert!(x.mismatch(&x, 0.0, 0.0, false)?.is_some());
    /// assert!(x.mismatch(&y, 0.0, 1e9, true)?.is_some());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights.
    pub fn mismatch(
        &self,
        want: &Self,
        rtol: f64,
        atol: f64,
        equal_nan: bool,
    ) -> Result<Option<Mismatch>> {
        Mismatch::find(self, want, |pair| pair.is_close(rtol, atol, equal_nan))
    }
}

/// For tests: type and shape are the same and `|got − want| ≤ atol + rtol · |want|` everywhere, NaN
/// where NaN is wanted.
///
/// ```
/// use bitnet_tensor::{BitNetTensor, assert_close};
/// let x = BitNetTensor::try_from(vec![0.0f32, 1.0])?;
/// assert_close(&x.exp()?, &BitNetTensor::try_from(vec![1.0f32, 2.718_282])?, 1e-6, 0.0);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
///
/// # Panics
/// With the [`Mismatch`] otherwise, and with the error where the tensors cannot be read.
#[track_caller]
pub fn assert_close(got: &BitNetTensor, want: &BitNetTensor, rtol: f64, atol: f64) {
    match got.mismatch(want, rtol, atol, true) {
        Ok(None) => {}
        Ok(Some(mismatch)) => panic!("{mismatch} (rtol {rtol}, atol {atol})"),
        Err(error) => panic!("{error}"),
    }
}

/// The elements in row-major order, exact.
enum Elements {
    Floats(Vec<f64>, BitNetDType),
    Integers(Vec<i128>, BitNetDType),
}

impl Elements {
    fn read(tensor: &BitNetTensor) -> Result<Self> {
        fn each<T: crate::Element, N>(
            x: &BitNetTensor,
            convert: impl Fn(T) -> N,
        ) -> Result<Vec<N>> {
            let data = x.host_data::<T>()?;
            Ok(x.layout().positions().map(|position| convert(data[position])).collect())
        }
        let (x, dtype) = (&tensor.to_device(Device::CPU)?, tensor.dtype());
        with_number_type!(dtype, T => match <T as Number>::IS_FLOAT {
            true => Ok(Self::Floats(each::<T, _>(x, Number::to_f64)?, dtype)),
            false => Ok(Self::Integers(each::<T, _>(x, Number::to_i128)?, dtype)),
        }, {
            if dtype != BitNetDType::Bool {
                bail!(UnsupportedOperation, "compare", &[tensor], "{dtype} tensors are compared by their parts");
            }
            Ok(Self::Integers(each::<bool, _>(x, i128::from)?, dtype))
        })
    }

    fn pair(&self, other: &Self, n: usize) -> Pair {
        match (self, other) {
            (Self::Integers(a, _), Self::Integers(b, _)) => Pair {
                got: a[n] as f64,
                want: b[n] as f64,
                difference: (a[n] - b[n]).unsigned_abs() as f64,
            },
            _ => {
                let (got, want) = (self.float(n), other.float(n));
                let difference = match (got.is_nan(), want.is_nan()) {
                    (false, false) if got == want => 0.0,
                    (true, true) => f64::NAN,
                    (false, false) => (got - want).abs(),
                    _ => f64::INFINITY,
                };
                Pair { got, want, difference }
            }
        }
    }

    fn float(&self, n: usize) -> f64 {
        match self {
            Self::Floats(values, _) => values[n],
            Self::Integers(values, _) => values[n] as f64,
        }
    }

    /// As short as it reads back in its own type.
    fn text(&self, n: usize) -> String {
        match self {
            Self::Floats(values, BitNetDType::F64) => format!("{:?}", values[n]),
            Self::Floats(values, _) => format!("{:?}", values[n] as f32),
            Self::Integers(values, BitNetDType::Bool) => (values[n] != 0).to_string(),
            Self::Integers(values, _) => values[n].to_string(),
        }
    }
}

fn index(shape: &TensorShape, mut n: usize) -> Vec<usize> {
    let mut index = vec![0; shape.rank()];
    for axis in (0..shape.rank()).rev() {
        index[axis] = n % shape[axis];
        n /= shape[axis];
    }
    index
}
