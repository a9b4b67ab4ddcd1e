//! Q6_K written, against its rule spelled out part by part and number by number: the same bytes on
//! every tier.

use bitnet_kernels::Cpu;
use bitnet_kernels::blocks::{BlockFormat, quantize};
use half::f16;

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The sum of sixteen numbers: the halves onto each other, four times.
fn sum(mut a: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            a[i] += a[i + half];
        }
    }
    a[0]
}

fn code(x: f32) -> f32 {
    x.round_ties_even().clamp(-32.0, 31.0)
}

fn best_scale(x: &[f32; 16]) -> f32 {
    let mut extreme = 0.0f32;
    for &v in x {
        if v.abs() > extreme.abs() {
            extreme = v;
        }
    }
    if extreme.abs() < 1e-15 {
        return 0.0;
    }
    let v = x.map(|v| v * (1.0 / extreme));
    let (mut best, mut scale) = (0.0, 0.0);
    for step in 0..19 {
        let end = -32.0 - 0.1 * (step as f32 - 9.0);
        let products = sum(v.map(|v| v * v * v * code(end * v)));
        let squares = sum(v.map(|v| v * v * code(end * v) * code(end * v)));
        if squares > 0.0 && products * products > best * squares {
            scale = products / squares;
            best = scale * products;
        }
    }
    scale * extreme
}

fn block(x: &[f32; 256]) -> [u8; 210] {
    let mut block = [0; 210];
    let parts: Vec<&[f32; 16]> = x.as_chunks().0.iter().collect();
    let scales: Vec<f32> = parts.iter().map(|part| best_scale(part)).collect();
    let mut widest = 0.0f32;
    for &scale in &scales {
        if scale.abs() > widest.abs() {
            widest = scale;
        }
    }
    if widest.abs() < 1e-15 {
        return block;
    }
    let to_integer = -128.0 / widest;
    let d = f16::from_f32(1.0 / to_integer);
    block[208..].copy_from_slice(&d.to_le_bytes());
    for (p, part) in parts.iter().enumerate() {
        let scale = (to_integer * scales[p]).round_ties_even().clamp(-128.0, 127.0) as i8;
        block[192 + p] = scale as u8;
        let inverse = 1.0 / (d.to_f32() * f32::from(scale));
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        for (i, &v) in part.iter().enumerate() {
            let code = (code(v * inverse) as i32 + 32) as u8;
            let (half, at) = ((16 * p + i) / 128, (16 * p + i) % 128);
            block[64 * half + at % 64] |= (code & 15) << (4 * (at / 64));
            block[128 + 32 * half + at % 32] |= (code >> 4) << (2 * (at / 32));
        }
    }
    block
}

#[test]
fn bytes_are_those_of_the_rule() {
    let mut seed = 5;
    let mut blocks: Vec<[f32; 256]> = Vec::new();
    for n in 0..200 {
        let mut uniform = || (random(&mut seed) >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let width = 10f32.powi(n % 9 - 5);
        // Sums of uniform numbers, parts of different widths, some numbers zero or all but so.
        blocks.push(std::array::from_fn(|i| match (n % 4, i % 7) {
            (1, 0) => 0.0,
            (2, _) => (uniform() * 3.0).round() * width,
            (3, 3) => uniform() * 1e-20,
            _ => (uniform() + uniform() + uniform()) * width * (1 + i / 16) as f32,
        }));
    }
    blocks.push([0.0; 256]);
    blocks.push([-0.0; 256]);
    blocks.push([1.0; 256]);
    blocks.push([-1e-30; 256]);
    blocks.push(std::array::from_fn(|i| if i == 17 { -3.0 } else { 0.0 }));
    blocks.push(std::array::from_fn(|i| if i % 2 == 0 { 1.0 } else { -1.0 }));
    let values = blocks.as_flattened();
    let expected: Vec<u8> = blocks.iter().flat_map(block).collect();
    for &cpu in Cpu::available() {
        let mut bytes = vec![0xa5; expected.len()];
        quantize(cpu, BlockFormat::Q6K, 256, values, &mut bytes).unwrap();
        let differing = bytes.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!(differing, None, "on {cpu}");
    }
}
