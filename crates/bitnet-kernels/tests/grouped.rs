//! Products of block weights with quantized activations: every format on every tier against sums
//! in f64 of the numbers that the blocks and the codes stand for.

use bitnet_kernels::blocks::{BlockFormat, dequantize};
use bitnet_kernels::grouped::{GroupedLayout, GroupedMatrix, GroupedRows, gemm, pack_grouped};
use bitnet_kernels::{Cpu, OperandError, parallel};

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

/// Rows of a format with any codes and scales of ordinary size.
fn blocks(format: BlockFormat, rows: usize, cols: usize, seed: u64) -> Vec<u8> {
    let mut seed = seed;
    let row_bytes = format.row_bytes(cols).unwrap();
    let mut bytes: Vec<u8> = (0..rows * row_bytes).map(|_| random(&mut seed) as u8).collect();
    let places: &[usize] = match format {
        BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q4K | BlockFormat::Q5K => &[0, 2],
        BlockFormat::Q2K => &[80, 82],
        BlockFormat::Q3K => &[108],
        BlockFormat::Q6K => &[208],
        BlockFormat::Tq1_0 => &[52],
        BlockFormat::Tq2_0 => &[64],
        BlockFormat::Ptq1_0 => &[26],
        BlockFormat::Iq1Bn | BlockFormat::Iq2Bn => &[],
        _ => &[0],
    };
    let mut scale = || random(&mut seed) as i32 as f32 / (1u32 << 31) as f32;
    for row in bytes.chunks_exact_mut(row_bytes) {
        let (prefix, blocks) = row.split_at_mut(format.row_prefix_bytes());
        match prefix.len() {
            0 => {}
            2 => prefix.copy_from_slice(&half::f16::from_f32(scale()).to_le_bytes()),
            _ => prefix.copy_from_slice(&scale().to_le_bytes()),
        }
        for block in blocks.chunks_exact_mut(format.block_bytes()) {
            for &place in places {
                let scale = half::f16::from_f32(scale());
                block[place..place + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
    }
    bytes
}

fn tiles(layout: GroupedLayout, bytes: &[u8]) -> Vec<u8> {
    let row_bytes = layout.format().row_bytes(layout.cols()).unwrap();
    let mut tiles = vec![0xa5; layout.byte_len()];
    pack_grouped(layout, |row| &bytes[row * row_bytes..][..row_bytes], &mut tiles).unwrap();
    tiles
}

fn product(cpu: Cpu, layout: GroupedLayout, tiles: &[u8], x: &[f32]) -> Vec<f32> {
    let x = GroupedRows::quantize(cpu, x, layout.cols()).unwrap();
    let mut out = vec![f32::NAN; x.rows() * layout.rows()];
    gemm(cpu, &GroupedMatrix::new(layout, tiles).unwrap(), &x, &mut out);
    out
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

fn check(format: BlockFormat, rows: usize, cols: usize, tokens: usize) {
    let seed = (rows * 31 + cols + tokens) as u64;
    let bytes = blocks(format, rows, cols, seed);
    let layout = GroupedLayout::new(format, rows, cols).unwrap();
    let tiles = tiles(layout, &bytes);
    let x = uniform(tokens * cols, seed + 1);
    let expected = product(Cpu::available()[0], layout, &tiles, &x);

    let mut weights = vec![0.0; rows * cols];
    dequantize(Cpu::best(), format, cols, &bytes, &mut weights).unwrap();
    let quantized = GroupedRows::quantize(Cpu::best(), &x, cols).unwrap();
    let codes: Vec<i16> = quantized.codes().collect();
    for (n, &got) in expected.iter().enumerate() {
        let (token, row) = (n / rows, n % rows);
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for col in 0..cols {
            let at = token * cols + col;
            let scale = quantized.scales()[at / 32];
            let value = f64::from(codes[at]) * f64::from(scale);
            let term = f64::from(weights[row * cols + col]) * value;
            (sum, magnitude) = (sum + term, magnitude + term.abs());
        }
        // Terms of code and minimum are larger than their sum.
        let close = (f64::from(got) - sum).abs() <= 1e-5 * magnitude + 1e-4;
        assert!(close, "{format} {rows} × {cols}, {tokens} tokens: {got} for {sum}");
    }

    for &cpu in Cpu::available() {
        let got = product(cpu, layout, &tiles, &x);
        assert!(bits(&got) == bits(&expected), "{format} {rows} × {cols}, {tokens} on {cpu}");
    }
    // A row does not depend on its neighbours.
    if tokens > 1 {
        let last = product(Cpu::best(), layout, &tiles, &x[(tokens - 1) * cols..]);
        assert!(bits(&last) == bits(&expected[(tokens - 1) * rows..]), "{format} {tokens}");
    }
}

#[test]
fn every_format_at_edge_shapes() {
    for format in BlockFormat::ALL {
        let block = format.block_len();
        for rows in [1, 15, 16, 33] {
            for tokens in [1, 2, 5, 8, 13] {
                check(format, rows, block, tokens);
                check(format, rows, 3 * block, tokens);
            }
        }
        check(format, 0, block, 2);
        check(format, 3, block, 0);
    }
}

#[test]
fn sizes_of_a_model_and_threads() {
    for threads in [1, 3] {
        parallel::set_num_threads(threads);
        check(BlockFormat::Q4_1, 576, 576, 1);
        check(BlockFormat::Q4_1, 100, 1536, 19);
        check(BlockFormat::Q8_0, 1000, 576, 1);
        check(BlockFormat::Q6K, 50, 2560, 9);
    }
}

/// The codes and activations that reach farthest: no step saturates or overflows.
#[test]
fn extremes_are_exact() {
    let one = half::f16::ONE.to_le_bytes();
    for (format, code, head) in [
        (BlockFormat::Q8_0, -128.0, vec![one]),
        (BlockFormat::Q4_0, 7.0, vec![one]),
        (BlockFormat::Q4_1, 16.0, vec![one, one]),
    ] {
        let cols = 32 * 32;
        let fill = if format == BlockFormat::Q8_0 { 0x80 } else { 0xff };
        let block: Vec<u8> = head
            .concat()
            .into_iter()
            .chain(std::iter::repeat(fill))
            .take(format.block_bytes())
            .collect();
        let bytes = block.repeat(17 * cols / 32);
        let layout = GroupedLayout::new(format, 17, cols).unwrap();
        let tiles = tiles(layout, &bytes);
        for value in [-32639.0, 32639.0] {
            for tokens in [1, 8] {
                let x = vec![value; tokens * cols];
                for &cpu in Cpu::available() {
                    let got = product(cpu, layout, &tiles, &x);
                    let expected = code * value * cols as f32;
                    assert!(got.iter().all(|&y| y == expected), "{format} {cpu}: {}", got[0]);
                }
            }
        }
    }
}

#[test]
fn activations_are_quantized_by_groups() {
    let mut x = vec![0.0f32; 32 * 6];
    x[0] = -2.0;
    x[1] = 1.0;
    x[32..64].fill(f32::NAN);
    x[64] = f32::INFINITY;
    x[96] = 1e-40;
    x[128..160].copy_from_slice(&(0..32).map(|i| (i * 2100 - 32639) as f32).collect::<Vec<_>>());
    x[160] = f32::MAX;
    for &cpu in Cpu::available() {
        let q = GroupedRows::quantize(cpu, &x, 96).unwrap();
        let codes: Vec<i16> = q.codes().collect();
        assert_eq!(codes[..3], [-32639, 16320, 0]); // 16319.5 to even
        assert_eq!(q.scales()[0], 2.0 / 32639.0);
        assert!(q.scales()[1].is_nan() && q.scales()[2].is_nan());
        assert!(codes[32..128].iter().all(|&code| code == 0));
        assert!((0..32).all(|i| i32::from(codes[128 + i]) == i as i32 * 2100 - 32639));
        assert_eq!(codes[160], 32639);
    }
    let error = GroupedRows::quantize(Cpu::best(), &x, 48).unwrap_err();
    assert!(matches!(error, OperandError::BlockColumns { cols: 48, .. }));
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(GroupedLayout::new(BlockFormat::Q6K, 1, 576).is_err());
    assert!(GroupedLayout::new(BlockFormat::Q8_0, usize::MAX, 64).is_err());
    let layout = GroupedLayout::new(BlockFormat::Q8_0, 5, 64).unwrap();
    assert!(GroupedMatrix::new(layout, &[0; 64]).is_err());
    assert!(pack_grouped(layout, |_| &[], &mut [0; 3]).is_err());
}
