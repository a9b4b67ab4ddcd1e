//! What the packed layouts and the product mean, as plainly as it can be written. The tests
//! of every tier compare against this.

use super::{TileEncoding, TiledLayout};
use crate::quantized::QuantizedRows;

/// The weight at (`row`, `col`) of a tiled matrix, padding included.
///
/// # Panics
/// If the position lies outside `tiled`.
pub fn weight(layout: TiledLayout, tiled: &[u8], row: usize, col: usize) -> i8 {
    let (columns, tile_bytes) = (layout.encoding().columns(), layout.encoding().tile_bytes());
    let tile = (row / 16) * layout.cols().div_ceil(columns) + col / columns;
    let tile = &tiled[tile_bytes * tile..][..tile_bytes];
    let (r, c) = (row % 16, col % columns);
    let byte = 4 * r + c % 4;
    let code = match layout.encoding() {
        TileEncoding::TwoBit => (tile[byte] >> (2 * (c / 4))) & 3,
        TileEncoding::FiveBit => {
            let (slot, digit) = (c / 12, c / 4 % 3);
            let low = (tile[64 * (slot / 2) + byte] >> (4 * (slot % 2))) & 15;
            let code = low + 16 * ((tile[256 + byte] >> slot) & 1);
            [code % 3, code / 3 % 3, code / 9][digit]
        }
        TileEncoding::SixBit => {
            let low = (tile[64 * (c / 8) + byte] >> (4 * (c / 4 % 2))) & 15;
            low + 16 * ((tile[128 + byte] >> (2 * (c / 4))) & 3)
        }
    };
    code as i8 - if layout.encoding() == TileEncoding::SixBit { 32 } else { 1 }
}

/// Integer products of a row-major matrix of int8 (or fewer bits) weights with activations:
/// element (t, r) of tokens × `rows` is Σ weight (r, c) · code (t, c) over the columns.
///
/// # Panics
/// If a slice is too short, or a sum does not fit `i32`.
pub fn product_i32(weights: &[i8], rows: usize, x: &QuantizedRows<'_>) -> Vec<i32> {
    let mut out = Vec::new();
    for token in 0..x.rows() {
        for row in 0..rows {
            let mut sum = 0i64;
            for col in 0..x.cols() {
                let weight = i64::from(weights[row * x.cols() + col]);
                sum += weight * i64::from(x.codes()[token * x.stride() + col]);
            }
            out.push(i32::try_from(sum).expect("the sum fits i32"));
        }
    }
    out
}

/// [`product_i32`] as values: each sum times (scale of the row · scale of the token).
///
/// # Panics
/// As [`product_i32`].
pub fn product(weights: &[i8], weight_scales: &[f32], x: &QuantizedRows<'_>) -> Vec<f32> {
    let sums = product_i32(weights, weight_scales.len(), x);
    let mut out = Vec::new();
    for token in 0..x.rows() {
        for (row, &scale) in weight_scales.iter().enumerate() {
            let sum = sums[token * weight_scales.len() + row];
            out.push(sum as f32 * (scale * x.scales()[token]));
        }
    }
    out
}
