//! Tensors made from rules: constants, ranges, patterns, random numbers. Those made from given
//! elements are in `tensor/making.rs`.

mod constant;
mod nested;
mod pattern;
mod range;

pub use nested::Nested;
