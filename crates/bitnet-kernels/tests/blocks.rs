//! Block formats against PyPI `gguf` (`crates/bitnet-testkit/scripts/goldens/blocks.py`), bit for
//! bit on every tier, and against blocks packed by hand where it knows no such format.

use bitnet_kernels::blocks::{BlockFormat, dequantize, quantize};
use bitnet_kernels::ternary::{
    I2sBlock, i2_s_block_evidence, i2_s_scale, pack_blocks, pack_i2_s, unpack_block_row,
    unpack_i2_s_row,
};
use bitnet_kernels::{Cpu, OperandError, parallel};
use serde_json::Value;

const GOLDENS: &str = include_str!("../../bitnet-testkit/goldens/blocks.json");

fn bytes_of(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a text").as_bytes();
    let digit = |c: u8| (c as char).to_digit(16).expect("a hexadecimal digit") as u8;
    text.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn floats_of(value: &Value) -> Vec<f32> {
    let bytes = bytes_of(value);
    bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// The formats of the file, by name.
fn goldens() -> (Vec<f32>, Vec<(BlockFormat, Value)>) {
    let file: Value = serde_json::from_str(GOLDENS).expect("valid JSON");
    let formats = file["formats"].as_object().expect("an object");
    let formats = formats.iter().map(|(name, case)| (name.parse().unwrap(), case.clone()));
    (floats_of(&file["values"]), formats.collect())
}

fn quantized(cpu: Cpu, format: BlockFormat, cols: usize, values: &[f32]) -> Vec<u8> {
    let mut out = vec![0xa5; format.byte_len(values.len() / cols, cols).unwrap()];
    quantize(cpu, format, cols, values, &mut out).unwrap();
    out
}

fn dequantized(cpu: Cpu, format: BlockFormat, cols: usize, bytes: &[u8]) -> Vec<f32> {
    let rows = bytes.len() / format.row_bytes(cols).unwrap();
    let mut out = vec![f32::NAN; rows * cols];
    dequantize(cpu, format, cols, bytes, &mut out).unwrap();
    out
}

#[test]
fn quantizing_gives_the_bytes_of_gguf() {
    let (values, formats) = goldens();
    let mut seen = 0;
    for (format, case) in formats.iter().filter(|(_, case)| !case["packed"].is_null()) {
        let expected = bytes_of(&case["packed"]);
        for &cpu in Cpu::available() {
            let got = quantized(cpu, *format, 256, &values);
            let block = got.iter().zip(&expected).position(|(a, b)| a != b);
            let block = block.map(|at| at / format.block_bytes());
            assert_eq!(block, None, "{format} on {cpu}: the first block that differs");
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn dequantizing_gives_the_numbers_of_gguf() {
    let (_, formats) = goldens();
    assert_eq!(formats.len(), 12);
    for (format, case) in formats {
        let (bytes, expected) = (bytes_of(&case["bytes"]), floats_of(&case["numbers"]));
        for &cpu in Cpu::available() {
            let got = dequantized(cpu, format, 256, &bytes);
            let differs = got.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs.map(|i| (i, got[i], expected[i])), None, "{format} on {cpu}");
        }
    }
}

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn uniform(len: usize, seed: u64) -> Vec<f32> {
    let mut seed = seed;
    (0..len).map(|_| (random(&mut seed) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// The relative error that each format leaves of uniform numbers: what its bits allow.
#[test]
fn round_trips_are_as_close_as_the_format_is_fine() {
    let values = uniform(64 * 512, 3);
    let power = |x: &[f32]| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    for (format, most) in [
        (BlockFormat::Q8_0, 0.005),
        (BlockFormat::Q6K, 0.02),
        (BlockFormat::Q5_1, 0.035),
        (BlockFormat::Q5_0, 0.05),
        (BlockFormat::Q4_1, 0.07),
        (BlockFormat::Q4_0, 0.09),
        (BlockFormat::Tq1_0, 0.51),
        (BlockFormat::Tq2_0, 0.51),
        (BlockFormat::Q2_0, 0.51),
        (BlockFormat::Pq2_0, 0.51),
        (BlockFormat::Ptq1_0, 0.51),
        (BlockFormat::Iq1Bn, 0.51),
        (BlockFormat::Iq2Bn, 0.51),
        (BlockFormat::Q1_0, 0.51),
    ] {
        let bytes = quantized(Cpu::best(), format, 512, &values);
        let back = dequantized(Cpu::best(), format, 512, &bytes);
        let error: Vec<f32> = values.iter().zip(&back).map(|(a, b)| a - b).collect();
        let relative = (power(&error) / power(&values)).sqrt();
        assert!(relative < most, "{format}: {relative}");
        for &cpu in Cpu::available() {
            assert_eq!(quantized(cpu, format, 512, &values), bytes, "{format} on {cpu}");
        }
        parallel::set_num_threads(3);
        assert_eq!(quantized(Cpu::best(), format, 512, &values), bytes, "{format}, 3 threads");
    }
}

/// A block whose parts of 16 have codes and scales that Q6_K can say comes back exactly.
#[test]
fn q6_k_keeps_what_it_can_say() {
    let mut x = [0.0f32; 256];
    for (i, x) in x.iter_mut().enumerate() {
        let (part, code) = (i / 16, [-32, 31, 5, -7][i % 4]);
        let scale = [-128.0, 64.0, 1.0, 100.0][part % 4];
        *x = 0.125 * scale * code as f32;
    }
    let bytes = quantized(Cpu::best(), BlockFormat::Q6K, 256, &x);
    assert_eq!(dequantized(Cpu::best(), BlockFormat::Q6K, 256, &bytes), x);
}

#[test]
fn what_a_format_cannot_say_is_refused() {
    let mut out = vec![0; 34 * 3];
    let cpu = Cpu::best();
    let mut values = vec![1.0f32; 96];
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        values[70] = bad;
        let error = quantize(cpu, BlockFormat::Q8_0, 32, &values, &mut out);
        assert_eq!(error, Err(OperandError::NotFinite { row: 2 }));
    }
    values[70] = f32::MAX;
    let error = quantize(cpu, BlockFormat::Q8_0, 32, &values, &mut out);
    assert_eq!(error, Err(OperandError::ScaleOverflow { row: 2, format: "Q8_0" }));
    values[70] = 65504.0 * 127.0;
    assert_eq!(quantize(cpu, BlockFormat::Q8_0, 32, &values, &mut out), Ok(()));
    let error = quantize(cpu, BlockFormat::Q8_0, 48, &values, &mut out);
    assert_eq!(error, Err(OperandError::BlockColumns { format: "Q8_0", cols: 48, block: 32 }));
    let error = quantize(cpu, BlockFormat::Q4K, 256, &[0.0; 256], &mut [0; 144]);
    assert_eq!(error, Err(OperandError::CannotQuantize { format: "Q4_K" }));
    assert!(quantize(cpu, BlockFormat::Q8_0, 32, &values, &mut out[1..]).is_err());
    assert!(dequantize(cpu, BlockFormat::Q8_0, 64, &[0; 68], &mut [0.0; 96]).is_err());
    assert!(dequantize(cpu, BlockFormat::Q8_0, 32, &[0; 33], &mut [0.0; 32]).is_err());
    assert_eq!(dequantize(cpu, BlockFormat::Q6K, 0, &[], &mut []), Ok(()));
    // Less than an f16 or the inverse of an f32 holds: zero, in codes too.
    let bytes = quantized(cpu, BlockFormat::Q8_0, 32, &[1e-40; 32]);
    assert_eq!(bytes, [0; 34]);
}

#[test]
fn any_bytes_dequantize_alike_on_every_tier() {
    let mut seed = 17;
    for format in BlockFormat::ALL {
        let len = format.byte_len(5, 512).unwrap();
        let bytes: Vec<u8> = (0..len).map(|_| random(&mut seed) as u8).collect();
        let bits = |cpu| -> Vec<u32> {
            let numbers = dequantized(cpu, format, 512, &bytes);
            numbers.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect()
        };
        let expected = bits(Cpu::available()[0]);
        for &cpu in Cpu::available() {
            assert!(bits(cpu) == expected, "{format} on {cpu}");
        }
    }
}

/// Blocks written down from the formats' definitions.
#[test]
fn formats_that_gguf_does_not_know_agree_with_blocks_packed_by_hand() {
    let one = half::f16::ONE.to_le_bytes();
    // Q2_0: byte 0 holds codes 0 to 3 from the low bits up.
    let mut q2_0 = vec![0b01_01_01_01; 18];
    q2_0[..2].copy_from_slice(&one);
    q2_0[2] = 0b11_10_01_00;
    let numbers = dequantized(Cpu::best(), BlockFormat::Q2_0, 64, &q2_0);
    assert_eq!(numbers[..5], [-1.0, 0.0, 1.0, 2.0, 0.0]);
    let error = unpack_block_row(BlockFormat::Q2_0, &q2_0, 1, 64, 0, &mut [0; 64], &mut [0.0]);
    assert_eq!(error, Err(OperandError::InvalidCode { row: 0 }));

    // Q1_0: bit 0 of byte 0 is sign 0.
    let mut q1_0 = vec![0; 18];
    q1_0[..2].copy_from_slice(&one);
    q1_0[2] = 0b0000_0101;
    let numbers = dequantized(Cpu::best(), BlockFormat::Q1_0, 128, &q1_0);
    assert_eq!(numbers[..4], [1.0, -1.0, 1.0, -1.0]);

    // IQ2_BN: an f32 for the row; bits 2l of byte m are code 16 l + m.
    let mut iq2 = 0.5f32.to_le_bytes().to_vec();
    iq2.extend([0b01_01_01_01; 16]);
    iq2[4] = 0b10_01_00_10;
    let numbers = dequantized(Cpu::best(), BlockFormat::Iq2Bn, 64, &iq2);
    assert_eq!([0, 16, 32, 48].map(|i| numbers[i]), [0.5, -0.5, 0.0, 0.5]);

    // IQ1_BN: code j of five counts 3^j; the thirteenth byte's code for weights 16 k + 15, 3^k.
    let byte = |number: u32| (number * 256).div_ceil(243) as u8;
    let mut iq1 = one.to_vec();
    iq1.extend([byte(121); 12]); // all codes 1, weight 0
    iq1.push(byte(1 + 3 + 9 + 27));
    iq1[2] = byte(2 + 3 + 9 + 27); // code 0 is 2, code 4 is 0
    iq1[14] = byte(2 + 3 + 27); // weight 15 is +1, weight 47 is −1
    let numbers = dequantized(Cpu::best(), BlockFormat::Iq1Bn, 64, &iq1);
    assert_eq!(numbers[..6], [1.0, 0.0, 0.0, 0.0, -1.0, 0.0]);
    assert_eq!([15, 31, 47, 63].map(|i| numbers[i]), [1.0, 0.0, -1.0, 0.0]);

    // PTQ1_0: 16 bytes of five, 8 bytes of five, 2 bytes of four, the leading digit first.
    let mut ptq = vec![byte(121); 24];
    ptq.extend([byte(120); 2]);
    ptq.extend(one);
    ptq[1] = byte(2 * 81 + 27 + 9 + 3); // weight 1 is +1, weight 65 is −1
    ptq[16] = byte(27 + 9 + 3 + 1); // weight 80 is −1
    ptq[25] = byte(81 + 27 + 9 + 2 * 3); // the last weight is +1
    let numbers = dequantized(Cpu::best(), BlockFormat::Ptq1_0, 128, &ptq);
    let nonzero: Vec<(usize, f32)> =
        numbers.iter().copied().enumerate().filter(|(_, v)| *v != 0.0).collect();
    assert_eq!(nonzero, [(1, 1.0), (65, -1.0), (80, -1.0), (127, 1.0)]);
}

fn weight(row: usize, col: usize) -> i8 {
    ((row * 7 + col * 13 + row * col) % 3) as i8 - 1
}

#[test]
fn ternary_codes_and_scales_survive_every_format() {
    let (rows, cols) = (37, 768);
    for format in BlockFormat::ALL.into_iter().filter(|format| format.has_ternary_codes()) {
        let code = |row, col| match (format, weight(row, col)) {
            (BlockFormat::Q1_0, 0) => 1,
            (_, code) => code,
        };
        // f16 numbers; one for the row where the format has one.
        let scale = |row: usize, block: usize| match format.row_prefix_bytes() {
            0 => (row + 1) as f32 * 0.25 + block as f32,
            _ => (row + 1) as f32 * 0.25,
        };
        let mut bytes = vec![0; format.byte_len(rows, cols).unwrap()];
        let fill = |row: usize, codes: &mut [i8], scales: &mut [f32]| {
            (0..cols).for_each(|col| codes[col] = code(row, col));
            (0..scales.len()).for_each(|block| scales[block] = scale(row, block));
        };
        pack_blocks(format, rows, cols, fill, &mut bytes).unwrap();
        let (mut codes, mut scales) = (vec![0; cols], vec![0.0; cols / format.block_len()]);
        for row in 0..rows {
            unpack_block_row(format, &bytes, rows, cols, row, &mut codes, &mut scales).unwrap();
            assert!((0..cols).all(|col| codes[col] == code(row, col)), "{format}");
            assert!((0..scales.len()).all(|b| scales[b] == scale(row, b)), "{format}");
        }
        // What quantizing makes of the dequantized numbers are the same codes.
        let numbers = dequantized(Cpu::best(), format, cols, &bytes);
        let again = quantized(Cpu::best(), format, cols, &numbers);
        assert!(again == bytes, "{format}");
    }
}

#[test]
fn what_is_not_ternary_is_not_packed() {
    let mut bytes = vec![0; BlockFormat::Iq2Bn.byte_len(2, 128).unwrap()];
    let mut pack = |format, code: i8, scale: f32, last: f32| {
        let len = BlockFormat::byte_len(format, 2, 128).unwrap();
        let fill = |row: usize, codes: &mut [i8], scales: &mut [f32]| {
            codes.fill(if row == 1 { code } else { 1 });
            scales.fill(scale);
            *scales.last_mut().unwrap() = last;
        };
        bytes.resize(len, 0);
        pack_blocks(format, 2, 128, fill, &mut bytes)
    };
    assert_eq!(pack(BlockFormat::Q2_0, 2, 1.0, 1.0), Err(OperandError::NotTernary { row: 1 }));
    assert_eq!(pack(BlockFormat::Q1_0, 0, 1.0, 1.0), Err(OperandError::NotTernary { row: 1 }));
    let overflow = Err(OperandError::ScaleOverflow { row: 0, format: "Q2_0" });
    assert_eq!(pack(BlockFormat::Q2_0, 1, 1e6, 1.0), overflow);
    assert_eq!(pack(BlockFormat::Iq2Bn, 1, 1e6, 1e6), Ok(()));
    let differ = Err(OperandError::ScalesDiffer { format: "IQ2_BN" });
    assert_eq!(pack(BlockFormat::Iq2Bn, 1, 1.0, 2.0), differ);
    let other = unpack_block_row(BlockFormat::Q8_0, &[], 0, 0, 0, &mut [], &mut []);
    assert_eq!(other, Err(OperandError::NoTernaryCodes { format: "Q8_0" }));
}

/// The bytes of bitnet.cpp: `c[p] << 6 | c[32 + p] << 4 | c[64 + p] << 2 | c[96 + p]`.
#[test]
fn i2_s_is_packed_as_bitnet_cpp_packs_it() {
    // The second shape has rows that share blocks.
    for (rows, cols) in [(3, 256), (8, 80), (600, 2560)] {
        for block in [I2sBlock::Of128, I2sBlock::Of64] {
            let mut packed = vec![0xee; block.byte_len(rows, cols).unwrap()];
            let fill = |row: usize, out: &mut [i8]| {
                (0..cols).for_each(|col| out[col] = weight(row, col));
            };
            pack_i2_s(block, rows, cols, 0.75, fill, &mut packed).unwrap();
            let code = |n: usize| (weight(n / cols, n % cols) + 1) as u8;
            let quarter = block.len() / 4;
            for (at, &byte) in packed[..rows * cols / 4].iter().enumerate() {
                let first = at / quarter * block.len() + at % quarter;
                let fields = [0, 1, 2, 3].map(|k| code(first + k * quarter) << (6 - 2 * k));
                assert_eq!(byte, fields.iter().sum::<u8>());
            }
            assert_eq!(i2_s_scale(block, &packed, rows, cols), Ok(0.75));
            assert!(packed[packed.len() - 28..].iter().all(|&byte| byte == 0));
            let mut out = vec![0; cols];
            for row in 0..rows {
                unpack_i2_s_row(block, &packed, rows, cols, row, &mut out).unwrap();
                assert!((0..cols).all(|col| out[col] == weight(row, col)));
            }
        }
    }
}

#[test]
fn i2_s_refuses_what_is_none() {
    let block = I2sBlock::Of128;
    assert_eq!(
        block.byte_len(1, 64),
        Err(OperandError::BlockColumns { format: "I2_S", cols: 64, block: 128 })
    );
    assert!(block.byte_len(usize::MAX, 2).is_err());
    assert_eq!(I2sBlock::Of64.byte_len(1, 64), Ok(48));
    let mut packed = vec![0; 64];
    packed[5] = 0b1100;
    let mut out = [0; 128];
    let error = unpack_i2_s_row(block, &packed, 1, 128, 0, &mut out);
    assert_eq!(error, Err(OperandError::InvalidCode { row: 0 }));
    assert!(unpack_i2_s_row(block, &packed[1..], 1, 128, 0, &mut out).is_err());
    assert!(unpack_i2_s_row(block, &packed, 1, 128, 1, &mut out).is_err());
    assert!(unpack_i2_s_row(block, &packed, 1, 128, 0, &mut out[1..]).is_err());
}

/// Columns of different density are recognised under the length that they were packed with.
#[test]
fn the_block_length_of_i2_s_shows_in_its_columns() {
    let (rows, cols) = (64, 512);
    let density: Vec<f32> = uniform(cols, 5).iter().map(|v| v.abs()).collect();
    for (block, other) in [(I2sBlock::Of128, false), (I2sBlock::Of64, true)] {
        let mut packed = vec![0; block.byte_len(rows, cols).unwrap()];
        let fill = |row: usize, out: &mut [i8]| {
            let chance = uniform(cols, row as u64 + 100);
            for col in 0..cols {
                out[col] = i8::from(chance[col].abs() < density[col]);
            }
        };
        pack_i2_s(block, rows, cols, 1.0, fill, &mut packed).unwrap();
        let (of_128, of_64) = i2_s_block_evidence(&packed, rows, cols, &density).unwrap();
        let (right, wrong) = if other { (of_64, of_128) } else { (of_128, of_64) };
        assert!(right > 0.9 && wrong < 0.6, "{right} {wrong}");
    }
}
