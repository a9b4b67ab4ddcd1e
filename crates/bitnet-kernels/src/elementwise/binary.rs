//! Arithmetic of two slices, or of a slice and one number, for every number type.
//!
//! Plain loops: the compiler vectorises them for the tier that they are compiled for.

use super::{scalar, wide};
use crate::Cpu;
use crate::simd::{Kernel, LANES, Simd};

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BinaryKind {
    /// a + b; integers wrap.
    Add,
    /// a − b; integers wrap.
    Sub,
    /// a · b; integers wrap.
    Mul,
    /// a / b; floats only.
    Div,
    /// The larger; NaN if either is NaN, as NumPy's `maximum`.
    Max,
    /// The smaller; NaN if either is NaN, as NumPy's `minimum`.
    Min,
    /// ⌊a / b⌋, as Python's `//`.
    FloorDiv,
    /// a − b ⌊a / b⌋: the sign of the divisor, as Python's `%`.
    Rem,
    /// The remainder with the sign of the dividend, as C's `fmod`.
    Fmod,
    /// a^b; of integers with b ≥ 0, wrapping. Of `f32` within 0.51 units in the last place.
    Pow,
    /// The angle of the point (b, a) in (−π, π]; floats only.
    Atan2,
    /// √(a² + b²) without overflow; floats only.
    Hypot,
    /// |a| with the sign of b; floats only.
    Copysign,
    /// Bits that both have; integers only, as the following.
    And,
    /// Bits that one has.
    Or,
    /// Bits that exactly one has.
    Xor,
    /// a · 2^b, wrapping; 0 from the width of the type on.
    Shl,
    /// ⌊a / 2^b⌋.
    Shr,
}

impl BinaryKind {
    /// Whether floats have it.
    pub fn is_for_floats(self) -> bool {
        !self.is_of_bits()
    }

    /// Whether integers have it.
    pub fn is_for_integers(self) -> bool {
        !matches!(self, Self::Div | Self::Atan2 | Self::Hypot | Self::Copysign)
    }

    /// Whether it is defined by the bits of integers.
    pub fn is_of_bits(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Xor | Self::Shl | Self::Shr)
    }
}

/// One side of a binary operation.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a, T> {
    /// One number per element.
    Slice(&'a [T]),
    /// The same number for all.
    Scalar(T),
}

impl<T: Copy> Operand<'_, T> {
    /// The number for element `n`.
    ///
    /// # Panics
    /// If a slice has no element `n`.
    #[inline(always)]
    pub fn at(&self, n: usize) -> T {
        match self {
            Self::Slice(slice) => slice[n],
            Self::Scalar(value) => *value,
        }
    }
}

/// The number types of [`binary`].
pub trait Element: Copy + Send + Sync + sealed::Sealed {
    /// Whether this is a floating point type.
    const IS_FLOAT: bool;
    #[doc(hidden)]
    fn add(self, b: Self) -> Self;
    #[doc(hidden)]
    fn sub(self, b: Self) -> Self;
    #[doc(hidden)]
    fn mul(self, b: Self) -> Self;
    #[doc(hidden)]
    fn div(self, b: Self) -> Self;
    #[doc(hidden)]
    fn max(self, b: Self) -> Self;
    #[doc(hidden)]
    fn min(self, b: Self) -> Self;
    /// The kinds that have no loop of their own.
    #[doc(hidden)]
    fn rare(self, kind: BinaryKind, b: Self) -> Self;
    /// Powers of sixteen numbers at a time, where there are such; an absent operand is the output
    /// itself.
    #[doc(hidden)]
    fn powers(
        _cpu: Cpu,
        _a: Option<Operand<'_, Self>>,
        _b: Option<Operand<'_, Self>>,
        _out: &mut [Self],
    ) -> bool {
        false
    }
}

mod sealed {
    /// Keeps [`super::Element`] to the types that the kernels are tested with.
    pub trait Sealed {}
}

macro_rules! float_elements {
    ($($type:ty { $($own:item)? }),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const IS_FLOAT: bool = true;
            #[inline(always)]
            fn add(self, b: Self) -> Self { self + b }
            #[inline(always)]
            fn sub(self, b: Self) -> Self { self - b }
            #[inline(always)]
            fn mul(self, b: Self) -> Self { self * b }
            #[inline(always)]
            fn div(self, b: Self) -> Self { self / b }
            #[inline(always)]
            fn max(self, b: Self) -> Self { if self > b || self.is_nan() { self } else { b } }
            #[inline(always)]
            fn min(self, b: Self) -> Self { if self < b || self.is_nan() { self } else { b } }
            fn rare(self, kind: BinaryKind, b: Self) -> Self {
                scalar::binary_f64(kind, f64::from(self), f64::from(b)) as $type
            }
            $($own)?
        }
    )*};
}

macro_rules! integer_elements {
    ($($type:ty),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const IS_FLOAT: bool = false;
            #[inline(always)]
            fn add(self, b: Self) -> Self { self.wrapping_add(b) }
            #[inline(always)]
            fn sub(self, b: Self) -> Self { self.wrapping_sub(b) }
            #[inline(always)]
            fn mul(self, b: Self) -> Self { self.wrapping_mul(b) }
            fn div(self, _: Self) -> Self { unreachable!("refused by the entry points") }
            #[inline(always)]
            fn max(self, b: Self) -> Self { Ord::max(self, b) }
            #[inline(always)]
            fn min(self, b: Self) -> Self { Ord::min(self, b) }
            fn rare(self, kind: BinaryKind, b: Self) -> Self {
                scalar::binary_i128(kind, self as i128, b as i128, <$type>::BITS) as $type
            }
        }
    )*};
}

float_elements!(
    f32 {
        fn powers(
            cpu: Cpu,
            a: Option<Operand<'_, f32>>,
            b: Option<Operand<'_, f32>>,
            out: &mut [f32],
        ) -> bool {
            cpu.run(Powers { a, b, out });
            true
        }
    },
    f64 {}
);
integer_elements!(u8, u16, u32, u64, i8, i16, i32, i64);

/// `out[i] = a[i] ∘ b[i]`, a scalar standing for all its elements.
///
/// # Panics
/// If a slice operand is not as long as `out`, or for a kind that the type has not.
///
/// ```
/// use bitnet_kernels::{Cpu, elementwise::{BinaryKind, Operand, binary}};
/// let mut out = [0; 3];
/// let (a, b) = (Operand::Scalar(10), Operand::Slice(&[1, 2, 3]));
/// binary(Cpu::best(), BinaryKind::Sub, a, b, &mut out);
/// assert_eq!(out, [9, 8, 7]);
/// ```
pub fn binary<T: Element>(
    cpu: Cpu,
    kind: BinaryKind,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    out: &mut [T],
) {
    check(kind, a, out);
    check(kind, b, out);
    run(cpu, kind, Some(a), Some(b), out);
}

/// `target[i] = target[i] ∘ b[i]`.
///
/// # Panics
/// As [`binary`].
pub fn binary_assign<T: Element>(cpu: Cpu, kind: BinaryKind, target: &mut [T], b: Operand<'_, T>) {
    check(kind, b, target);
    run(cpu, kind, None, Some(b), target);
}

/// `target[i] = a[i] ∘ target[i]`.
///
/// # Panics
/// As [`binary`].
pub fn binary_assign_reversed<T: Element>(
    cpu: Cpu,
    kind: BinaryKind,
    a: Operand<'_, T>,
    target: &mut [T],
) {
    check(kind, a, target);
    run(cpu, kind, Some(a), None, target);
}

fn run<T: Element>(
    cpu: Cpu,
    kind: BinaryKind,
    a: Option<Operand<'_, T>>,
    b: Option<Operand<'_, T>>,
    out: &mut [T],
) {
    if kind != BinaryKind::Pow || !T::powers(cpu, a, b, out) {
        cpu.run(Binary { kind, a, b, out });
    }
}

fn check<T: Element>(kind: BinaryKind, operand: Operand<'_, T>, out: &[T]) {
    let defined = if T::IS_FLOAT { kind.is_for_floats() } else { kind.is_for_integers() };
    assert!(defined, "binary: {kind:?} is not for this type");
    if let Operand::Slice(slice) = operand {
        assert_eq!(slice.len(), out.len(), "binary: operand and output differ in length");
    }
}

struct Binary<'a, T> {
    kind: BinaryKind,
    /// An absent operand is the output itself.
    a: Option<Operand<'a, T>>,
    b: Option<Operand<'a, T>>,
    out: &'a mut [T],
}

impl<T: Element> Kernel for Binary<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        match self.kind {
            BinaryKind::Add => self.apply(T::add),
            BinaryKind::Sub => self.apply(T::sub),
            BinaryKind::Mul => self.apply(T::mul),
            BinaryKind::Div => self.apply(T::div),
            BinaryKind::Max => self.apply(T::max),
            BinaryKind::Min => self.apply(T::min),
            kind => self.apply(|a, b| a.rare(kind, b)),
        }
    }
}

impl<T: Element> Binary<'_, T> {
    #[inline(always)]
    fn apply(self, f: impl Fn(T, T) -> T) {
        use Operand::{Scalar, Slice};
        let out = self.out;
        match (self.a, self.b) {
            (Some(Slice(a)), Some(Slice(b))) => {
                out.iter_mut().zip(a).zip(b).for_each(|((out, &a), &b)| *out = f(a, b));
            }
            (Some(Slice(a)), Some(Scalar(b))) => {
                out.iter_mut().zip(a).for_each(|(out, &a)| *out = f(a, b));
            }
            (Some(Scalar(a)), Some(Slice(b))) => {
                out.iter_mut().zip(b).for_each(|(out, &b)| *out = f(a, b));
            }
            (Some(Scalar(a)), Some(Scalar(b))) => out.fill(f(a, b)),
            (None, Some(Slice(b))) => out.iter_mut().zip(b).for_each(|(out, &b)| *out = f(*out, b)),
            (None, Some(Scalar(b))) => out.iter_mut().for_each(|out| *out = f(*out, b)),
            (Some(Slice(a)), None) => out.iter_mut().zip(a).for_each(|(out, &a)| *out = f(a, *out)),
            (Some(Scalar(a)), None) => out.iter_mut().for_each(|out| *out = f(a, *out)),
            (None, None) => out.iter_mut().for_each(|out| *out = f(*out, *out)),
        }
    }
}

/// [`Binary`] of `f32` powers.
struct Powers<'a> {
    a: Option<Operand<'a, f32>>,
    b: Option<Operand<'a, f32>>,
    out: &'a mut [f32],
}

impl Kernel for Powers<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (i, out) in self.out.chunks_mut(LANES).enumerate() {
            let a = lanes_of(s, self.a, i, out);
            let b = lanes_of(s, self.b, i, out);
            s.store_partial(wide::pow(s, a, b), out);
        }
    }
}

/// The `i`-th sixteen numbers of an operand, ones behind its end.
#[inline(always)]
fn lanes_of<S: Simd>(s: S, operand: Option<Operand<'_, f32>>, i: usize, out: &[f32]) -> S::F32 {
    match operand {
        Some(Operand::Slice(x)) => s.load_partial(&x[i * LANES..][..out.len()], 1.0),
        Some(Operand::Scalar(x)) => s.splat(x),
        None => s.load_partial(out, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, LENGTHS};

    #[test]
    fn powers_are_rounded_once_on_all_tiers() {
        let exponents = [0.0, -0.0, 0.5, 1.0, 2.0, 3.0, -1.0, -3.0, 1e9, 16_777_215.0, 1e-30];
        let mut worst = 0.0f64;
        for seed in 0..20 {
            let a = reference::awkward_floats(1003, seed);
            let mut b = reference::awkward_floats(1003, seed + 100);
            for i in (0..1003).step_by(3) {
                b[i] = exponents[i % exponents.len()];
            }
            let expected: Vec<f64> =
                a.iter().zip(&b).map(|(&a, &b)| f64::from(a).powf(b.into())).collect();
            let mut first = Vec::new();
            for &cpu in Cpu::available() {
                let mut out = vec![0.0; a.len()];
                binary(cpu, BinaryKind::Pow, Operand::Slice(&a), Operand::Slice(&b), &mut out);
                first = if first.is_empty() { out.clone() } else { first };
                assert_eq!(reference::bits(&out), reference::bits(&first), "{cpu}");
                let mut assigned = a.clone();
                binary_assign(cpu, BinaryKind::Pow, &mut assigned, Operand::Slice(&b));
                assert_eq!(reference::bits(&assigned), reference::bits(&first), "{cpu}");
                assigned.copy_from_slice(&b);
                binary_assign_reversed(cpu, BinaryKind::Pow, Operand::Slice(&a), &mut assigned);
                assert_eq!(reference::bits(&assigned), reference::bits(&first), "{cpu}");
            }
            for i in 0..a.len() {
                let error = reference::error_in_ulps(first[i], expected[i]);
                assert!(error <= 0.51, "{:e}^{:e} = {:e}, {error} ulp off", a[i], b[i], first[i]);
                worst = worst.max(error);
            }
        }
        println!("pow: {worst} ulp");
    }

    const KINDS: [BinaryKind; 6] = [
        BinaryKind::Add,
        BinaryKind::Sub,
        BinaryKind::Mul,
        BinaryKind::Div,
        BinaryKind::Max,
        BinaryKind::Min,
    ];

    /// NumPy's meaning, by other means than the kernel.
    fn oracle(kind: BinaryKind, a: f32, b: f32) -> f32 {
        match kind {
            BinaryKind::Add => (f64::from(a) + f64::from(b)) as f32,
            BinaryKind::Sub => (f64::from(a) - f64::from(b)) as f32,
            BinaryKind::Mul => (f64::from(a) * f64::from(b)) as f32,
            BinaryKind::Div => (f64::from(a) / f64::from(b)) as f32,
            _ if a.is_nan() || b.is_nan() => f32::NAN,
            BinaryKind::Max => a.max(b),
            BinaryKind::Min => a.min(b),
            _ => unreachable!("not in KINDS"),
        }
    }

    #[test]
    fn floats_in_every_form() {
        for (kind, len) in KINDS.iter().flat_map(|&kind| LENGTHS.map(|len| (kind, len))) {
            let (a, b) = (reference::awkward_floats(len, 5), reference::awkward_floats(len, 6));
            let expect = |f: &dyn Fn(usize) -> f32| -> Vec<f32> { (0..len).map(f).collect() };
            // Adding zero makes the two zeros, of which max and min may give either, one.
            let bits = |x: &[f32]| reference::bits(&x.iter().map(|x| x + 0.0).collect::<Vec<_>>());
            for &cpu in Cpu::available() {
                let mut out = vec![0.0; len];
                binary(cpu, kind, Operand::Slice(&a), Operand::Slice(&b), &mut out);
                assert_eq!(bits(&out), bits(&expect(&|i| oracle(kind, a[i], b[i]))), "{kind:?}");
                binary(cpu, kind, Operand::Slice(&a), Operand::Scalar(3.0), &mut out);
                assert_eq!(bits(&out), bits(&expect(&|i| oracle(kind, a[i], 3.0))));
                binary(cpu, kind, Operand::Scalar(3.0), Operand::Slice(&b), &mut out);
                assert_eq!(bits(&out), bits(&expect(&|i| oracle(kind, 3.0, b[i]))));
                out.copy_from_slice(&a);
                binary_assign(cpu, kind, &mut out, Operand::Slice(&b));
                assert_eq!(bits(&out), bits(&expect(&|i| oracle(kind, a[i], b[i]))));
                out.copy_from_slice(&b);
                binary_assign_reversed(cpu, kind, Operand::Slice(&a), &mut out);
                assert_eq!(bits(&out), bits(&expect(&|i| oracle(kind, a[i], b[i]))));
            }
        }
    }

    #[test]
    fn integers_wrap() {
        let mut x = [i32::MAX, i32::MIN, -1];
        binary_assign(Cpu::best(), BinaryKind::Add, &mut x, Operand::Scalar(1));
        assert_eq!(x, [i32::MIN, i32::MIN + 1, 0]);
        let mut y = [0u8; 2];
        binary(Cpu::best(), BinaryKind::Mul, Operand::Slice(&[200, 3]), Operand::Scalar(2), &mut y);
        assert_eq!(y, [144, 6]);
    }

    #[test]
    #[should_panic(expected = "Div is not for this type")]
    fn integer_division_is_refused() {
        binary_assign(Cpu::best(), BinaryKind::Div, &mut [1i64], Operand::Scalar(0));
    }
}
