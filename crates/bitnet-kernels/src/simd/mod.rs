//! The instruction sets behind one narrow interface.
//!
//! An algorithm is written once, as a [`Kernel`] generic over [`Simd`]; `Cpu::run` compiles
//! it once per tier. The float interface is *sixteen virtual lanes* whatever the register
//! width: one AVX-512 register, two AVX2 ones, four of SSE or NEON, or a plain array. Lane `i` of
//! an accumulator therefore holds the same partial sum on every tier, reductions add the sixteen
//! lanes in one fixed tree, and no operation is fused, so the results are bit-identical on all
//! tiers.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[macro_use]
mod registers;

mod dot;
mod double;
pub(crate) mod float;
mod grouped;
mod scalar;
mod unpack;

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod bf16;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "x86_64")]
pub(crate) mod sse41;

pub(crate) use dot::DotSimd;
pub(crate) use double::Double;
pub(crate) use float::{Float, LANES, LaneFn};
pub(crate) use grouped::{CodeBytes, GroupDot};
pub(crate) use scalar::Scalar;
pub(crate) use unpack::PlaneBytes;

/// A computation written once and compiled for every instruction set tier.
pub(crate) trait Kernel {
    /// What the computation returns.
    type Output;

    /// Whether the computation takes integer dot products: the tiers that share their floats differ
    /// only in those, and the computation is compiled for each of them only if it does.
    const INTEGER_DOTS: bool = false;

    /// The computation. Implementations are `#[inline(always)]`, and so is every generic
    /// function that they call: only inlined code is compiled with the tier's instructions.
    /// Closures cannot promise that: vector operations stay out of them ([`LaneFn`] instead).
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The instructions of one tier. A value of an implementing type proves that they may be
/// executed.
pub(crate) trait Simd: Double + DotSimd + GroupDot + Copy + Send + Sync + 'static {}
