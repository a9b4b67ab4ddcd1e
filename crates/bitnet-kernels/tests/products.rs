//! Tiled and int8 products of every tier against the naive oracle, bit for bit: edge shapes,
//! extreme values, unaligned operands, and random cases.

use bitnet_kernels::int8::{self, Int8Matrix};
use bitnet_kernels::tiled::{self, TileEncoding, TiledLayout, TiledMatrix, reference};
use bitnet_kernels::{Cpu, QuantizedRows, parallel};
use proptest::prelude::*;

/// A generator of reproducible values (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[derive(Debug, Clone, Copy)]
enum Fill {
    Constant(i8),
    Random(u64),
}

impl Fill {
    /// Values within ±`most`; any with −128 too if that is 127.
    fn values(self, len: usize, most: i8) -> Vec<i8> {
        match self {
            Fill::Constant(value) => vec![value; len],
            Fill::Random(seed) => {
                let mut random = Random(seed);
                let mut value = || match most {
                    127 => random.next() as i8,
                    most => (random.next() % (2 * most as u64 + 1)) as i8 - most,
                };
                (0..len).map(|_| value()).collect()
            }
        }
    }
}

/// Activations as the kernels want them; the codes begin one byte off any alignment.
struct Activations {
    codes: Vec<i8>,
    stride: usize,
    cols: usize,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Activations {
    fn new(tokens: usize, cols: usize, extra_stride: usize, fill: Fill) -> Self {
        let stride = cols.next_multiple_of(64) + extra_stride;
        let values = fill.values(tokens * cols, 127);
        let mut codes = vec![0; 1 + tokens * stride];
        let mut sums = Vec::new();
        for token in 0..tokens {
            let row = &values[token * cols..][..cols];
            codes[1 + token * stride..][..cols].copy_from_slice(row);
            sums.push(row.iter().map(|&q| i32::from(q)).sum());
        }
        let scales = (0..tokens).map(|t| 0.37 / (t + 1) as f32).collect();
        Activations { codes, stride, cols, scales, sums }
    }

    fn rows(&self) -> QuantizedRows<'_> {
        let codes = &self.codes[1..];
        QuantizedRows::new(codes, self.stride, self.cols, &self.scales, &self.sums).unwrap()
    }
}

fn row_scales(rows: usize) -> Vec<f32> {
    (0..rows).map(|r| 0.011 * (r % 7 + 1) as f32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Ternary weights, in each encoding.
fn check_ternary(rows: usize, x: &Activations, weights: Fill) {
    let weights = weights.values(rows * x.cols, 1);
    for encoding in TileEncoding::ALL {
        check_encoding(encoding, rows, x, &weights);
    }
}

/// Weights of six bits.
fn check_six_bit(rows: usize, x: &Activations, weights: Fill) {
    let weights = weights.values(rows * x.cols, 31);
    check_encoding(TileEncoding::SixBit, rows, x, &weights);
}

fn check_encoding(encoding: TileEncoding, rows: usize, x: &Activations, weights: &[i8]) {
    let layout = TiledLayout::new(encoding, rows, x.cols).unwrap();
    let mut tiles = vec![0; 1 + layout.byte_len()];
    tiled::pack(layout, &mut tiles[1..], |row, values| {
        values.copy_from_slice(&weights[row * x.cols..][..x.cols]);
    })
    .unwrap();
    let scales = row_scales(rows);
    let w = TiledMatrix::new(layout, &tiles[1..], &scales).unwrap();
    let x = x.rows();
    let expected_sums = reference::product_i32(weights, rows, &x);
    let expected = bits(&reference::product(weights, &scales, &x));
    for &cpu in Cpu::available() {
        let mut sums = vec![i32::MIN; x.rows() * rows];
        tiled::gemm_i32(cpu, &w, &x, &mut sums);
        let shape = (x.rows(), rows, x.cols());
        assert!(sums == expected_sums, "{cpu}, {encoding:?}, tokens × rows × columns {shape:?}");
        let mut out = vec![f32::NAN; x.rows() * rows];
        tiled::gemm(cpu, &w, &x, &mut out);
        assert!(bits(&out) == expected, "{cpu}, {encoding:?}, tokens × rows × columns {shape:?}");
    }
}

fn check_int8(rows: usize, x: &Activations, weights: Fill) {
    let mut weights = weights.values(rows * x.cols, 127);
    weights.insert(0, 0);
    let scales = row_scales(rows);
    let w = Int8Matrix::new(&weights[1..], x.cols, &scales).unwrap();
    let x = x.rows();
    let expected_sums = reference::product_i32(&weights[1..], rows, &x);
    let expected = bits(&reference::product(&weights[1..], &scales, &x));
    for &cpu in Cpu::available() {
        let mut sums = vec![i32::MIN; x.rows() * rows];
        int8::linear_i32(cpu, &w, &x, &mut sums);
        let shape = (x.rows(), rows, x.cols());
        assert!(sums == expected_sums, "{cpu}, tokens × rows × columns {shape:?}");
        let mut out = vec![f32::NAN; x.rows() * rows];
        int8::linear(cpu, &w, &x, &mut out);
        assert!(bits(&out) == expected, "{cpu}, tokens × rows × columns {shape:?}");
    }
}

const EDGE_TOKENS: [usize; 9] = [0, 1, 2, 3, 11, 12, 13, 25, 40];

#[test]
fn edge_shapes() {
    for cols in [0, 1, 3, 15, 16, 17, 63, 64, 65, 95, 96, 97, 640] {
        for tokens in EDGE_TOKENS {
            let x = Activations::new(tokens, cols, 0, Fill::Random(cols as u64));
            for rows in [0, 1, 15, 16, 17, 33, 80] {
                check_ternary(rows, &x, Fill::Random(tokens as u64));
                check_six_bit(rows, &x, Fill::Random(tokens as u64));
                check_int8(rows, &x, Fill::Random(tokens as u64));
            }
        }
    }
}

#[test]
fn every_number_of_tokens_up_to_three_panels() {
    for tokens in 0..=37 {
        let x = Activations::new(tokens, 100, 64, Fill::Random(3));
        check_ternary(50, &x, Fill::Random(4));
        check_six_bit(50, &x, Fill::Random(6));
        check_int8(50, &x, Fill::Random(5));
    }
}

#[test]
fn sizes_of_a_model() {
    for (rows, cols) in [(48, 2560), (33, 6912)] {
        for tokens in [1, 2, 13] {
            let x = Activations::new(tokens, cols, 0, Fill::Random(7));
            check_ternary(rows, &x, Fill::Random(8));
            check_int8(rows, &x, Fill::Random(9));
        }
    }
}

#[test]
fn extreme_values_neither_saturate_nor_overflow() {
    for q in [-128, -127, 0, 127] {
        for tokens in [1, 5, 12] {
            let x = Activations::new(tokens, 6912, 0, Fill::Constant(q));
            for weight in [-1, 0, 1] {
                check_ternary(17, &x, Fill::Constant(weight));
            }
            for weight in [-31, 31] {
                check_six_bit(17, &x, Fill::Constant(weight));
            }
            for weight in [-128, -127, 127] {
                check_int8(5, &x, Fill::Constant(weight));
            }
        }
    }
}

/// The widest matrices whose sums fit `i32`, at the values that reach farthest.
#[test]
fn greatest_numbers_of_columns() {
    let x = Activations::new(2, (1 << 17) - 1, 0, Fill::Constant(-128));
    check_int8(1, &x, Fill::Constant(-128));
    assert!(Int8Matrix::new(&[0; 1 << 17], 1 << 17, &[1.0]).is_err());
    let x = Activations::new(1, (1 << 19) - 1, 0, Fill::Constant(-128));
    check_six_bit(1, &x, Fill::Constant(31));
    let x = Activations::new(1, (1 << 24) - 1, 0, Fill::Constant(-128));
    for encoding in [TileEncoding::TwoBit, TileEncoding::FiveBit] {
        check_encoding(encoding, 1, &x, &vec![-1; x.cols]);
    }
}

/// Several pieces of work in both directions, so that a wrong split would show.
#[test]
fn many_pieces() {
    parallel::set_num_threads(3);
    let x = Activations::new(110, 1000, 0, Fill::Random(1));
    check_ternary(1100, &x, Fill::Random(2));
    let x = Activations::new(1, 2000, 0, Fill::Random(1));
    check_ternary(1111, &x, Fill::Random(2));
    check_int8(301, &x, Fill::Random(2));
}

/// Codes that no packing writes are outside the contract, but mean the same on every tier.
#[test]
fn any_bytes_give_the_same_sums_on_every_tier() {
    for (encoding, digits) in TileEncoding::ALL.into_iter().zip([[2; 3], [0, 0, 2], [31; 3]]) {
        let layout = TiledLayout::new(encoding, 16, 6912).unwrap();
        let tiles = vec![0xff; layout.byte_len()];
        let w = TiledMatrix::new(layout, &tiles, &[1.0; 16]).unwrap();
        for (plane, digit) in digits.into_iter().enumerate() {
            assert_eq!(reference::weight(layout, &tiles, 3, 4 * plane), digit);
        }
        let expected = digits.map(i32::from).iter().sum::<i32>() * -128 * 6912 / 3;
        for tokens in [1, 4, 5] {
            let x = Activations::new(tokens, 6912, 0, Fill::Constant(-128));
            for &cpu in Cpu::available() {
                let mut sums = vec![0; tokens * 16];
                tiled::gemm_i32(cpu, &w, &x.rows(), &mut sums);
                assert!(sums.iter().all(|&sum| sum == expected), "{cpu}, {encoding:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "columns of the weights")]
fn different_columns_panic() {
    let layout = TiledLayout::new(TileEncoding::TwoBit, 1, 2).unwrap();
    let w = TiledMatrix::new(layout, &[0; 64], &[1.0]).unwrap();
    let x = Activations::new(1, 3, 0, Fill::Constant(0));
    tiled::gemm(Cpu::best(), &w, &x.rows(), &mut [0.0]);
}

#[test]
#[should_panic(expected = "out is tokens × rows")]
fn a_short_output_panics() {
    let w = Int8Matrix::new(&[0; 6], 3, &[1.0; 2]).unwrap();
    let x = Activations::new(1, 3, 0, Fill::Constant(0));
    int8::linear(Cpu::best(), &w, &x.rows(), &mut [0.0]);
}

/// The definition, one element at a time, in f64 where it is exact.
#[test]
fn int8_quantization_is_nearest_to_the_weights() {
    let (rows, cols) = (70, 333);
    let mut random = Random(11);
    let mut weights: Vec<f32> =
        (0..rows * cols).map(|_| (random.next() as i32 as f32) * 1e-9).collect();
    weights[..cols].fill(0.0);
    weights[cols..2 * cols].iter_mut().for_each(|w| *w *= 1e-38); // Subnormal.
    weights[2 * cols..3 * cols].iter_mut().for_each(|w| *w *= 1e37);
    for &cpu in Cpu::available() {
        let (mut codes, mut scales) = (vec![0; rows * cols], vec![0.0; rows]);
        let fill = |row: usize, values: &mut [f32]| {
            values.copy_from_slice(&weights[row * cols..][..cols]);
        };
        int8::quantize_rows(cpu, cols, fill, &mut codes, &mut scales).unwrap();
        for row in 0..rows {
            let values = &weights[row * cols..][..cols];
            let absmax = values.iter().fold(0.0f32, |most, w| most.max(w.abs()));
            assert_eq!(scales[row], absmax / 127.0);
            for (code, &w) in codes[row * cols..].iter().zip(values) {
                let exact = if absmax == 0.0 { 0.0 } else { w as f64 / absmax as f64 * 127.0 };
                assert!((f64::from(*code) - exact).abs() <= 0.5 + 1e-5, "{cpu}, row {row}");
            }
        }
    }
}

#[test]
fn int8_quantization_refuses_what_is_not_finite() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for &cpu in Cpu::available() {
            let fill = |row: usize, values: &mut [f32]| {
                values.fill(1.0);
                values[7] = if row == 2 { bad } else { -3.0 };
            };
            let result = int8::quantize_rows(cpu, 9, fill, &mut [0; 36], &mut [0.0; 4]);
            assert_eq!(result, Err(bitnet_kernels::OperandError::NotFinite { row: 2 }));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_shapes(
        rows in 0usize..70,
        cols in 0usize..700,
        tokens in 0usize..30,
        extra_stride in 0usize..70,
        seed in any::<u64>(),
    ) {
        let x = Activations::new(tokens, cols, extra_stride, Fill::Random(seed));
        check_ternary(rows, &x, Fill::Random(seed ^ 1));
        check_six_bit(rows, &x, Fill::Random(seed ^ 3));
        check_int8(rows, &x, Fill::Random(seed ^ 2));
    }
}
