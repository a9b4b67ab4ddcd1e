//! Kernels for ternary (1.58-bit) and dense neural networks: slices in, slices out.
//!
//! This crate knows no tensor. It is the home of SIMD and of almost all `unsafe` in the
//! project. Three rules hold for everything in it:
//!
//! - **Exact integers.** Ternary × int8 and int8 × int8 products accumulate in `i32` with no
//!   saturating or overflowing step: all tiers give the same sums, bit for bit.
//! - **The same floats everywhere.** Float kernels use sixteen fixed lanes and no fused
//!   multiply-add (see `simd`), and work is cut by shape, never by thread count: results do
//!   not depend on the instruction set or the number of threads.
//! - **Batch invariance.** A row's result does not depend on how many other rows are computed
//!   with it: reading a prompt whole, in chunks or token by token gives the same bits.

pub mod attention;
pub mod blocks;
pub mod convert;
pub mod dense;
pub mod dispatch;
pub mod elementwise;
pub mod grouped;
pub mod int8;
pub mod parallel;
pub mod peaks;
mod product;
mod quantized;
pub mod reduce;
#[cfg(test)]
mod reference;
pub mod rope;
mod simd;
pub mod ternary;
pub mod tiled;
pub mod transpose;

pub use dispatch::{Cpu, Isa};
pub use quantized::{OperandError, QUANTIZED_ROW_ALIGN, QuantizedRows};
