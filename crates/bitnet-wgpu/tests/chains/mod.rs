//! Chains of a token's operations that become one dispatch, and such as almost do.
//!
//! Drivers add up a row's squares in orders of their own, so that a code beside a half may be another. So
//! what follows is held against the CPU's from the device's own codes: there the bits are the same.

use bitnet_kernels::rope;
use bitnet_tensor::backend::{AccelerationMetrics, Backend};
use bitnet_tensor::ops::{GateKind, QuantizedActivation, RopeMode};
use bitnet_tensor::{BitNetDType, BitNetTensor, CodeLayout, Device, Result, TensorOpError};
use bitnet_testkit::Random;
use bitnet_wgpu::WgpuBackend;

const EPS: f32 = 1e-5;

/// Codes with a scale for each row, as a packed weight of the device.
struct Weight {
    codes: Vec<i8>,
    scales: Vec<f32>,
    packed: BitNetTensor,
}

impl Weight {
    /// Ternary, or of 6 bits.
    fn new(random: &mut Random, layout: CodeLayout, shape: [usize; 2]) -> Result<Self> {
        let [rows, features] = shape;
        let most = if layout == CodeLayout::Int6Bytes { 31 } else { 1 };
        let code = |random: &mut Random| random.below(2 * most + 1) as i8 - most as i8;
        let codes: Vec<i8> = (0..rows * features).map(|_| code(random)).collect();
        let scales: Vec<f32> = (0..rows).map(|_| 0.5 + random.unit() as f32 / 4.0).collect();
        let parts = (BitNetTensor::from_slice(&codes, shape)?, scales.clone().try_into()?);
        let packed = BitNetTensor::packed_from_parts(layout, parts.0, parts.1, shape)?;
        Ok(Self { codes, scales, packed })
    }

    fn on(&self, device: Device) -> Result<BitNetTensor> {
        BitNetTensor::prepare_weight(&[&self.packed.to_device(device)?])
    }

    /// Products of a row that was quantized on a device.
    fn products(&self, row: &[i8], scale: f32) -> Vec<f32> {
        let features = self.codes.len() / self.scales.len();
        let product = |(codes, own): (&[i8], &f32)| {
            let sum: i32 = codes.iter().zip(row).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            sum as f32 * (scale * own)
        };
        self.codes.chunks(features).zip(&self.scales).map(product).collect()
    }
}

/// The largest distance, of numbers that are NaN in the same places, as a part of the largest number.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], part: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size =
        expected.iter().filter(|x| x.is_finite()).fold(1e-30f32, |most, x| most.max(x.abs()));
    for (n, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let is_same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= part * size;
        assert!(is_same, "{what}: {a} at {n}, want {b}");
    }
}

#[track_caller]
fn assert_equal(found: &[f32], expected: &[f32], what: &str) {
    assert_close(found, expected, 0.0, what);
}

/// The codes and the scale of a row, which are those of the CPU but for their rounding.
#[track_caller]
fn quantized(own: &QuantizedActivation, cpu: &QuantizedActivation, what: &str) -> (Vec<i8>, f32) {
    let all = |row: &QuantizedActivation| -> Result<(Vec<i8>, f32, i32)> {
        let (scales, sums) = (row.scales().to_vec::<f32>()?, row.sums().to_vec::<i32>()?);
        Ok((row.codes().to_vec::<i8>()?, scales[0], sums[0]))
    };
    let ((codes, scale, sum), (expected, cpu_scale, _)) =
        (all(own).expect("computed"), all(cpu).expect("computed"));
    assert_eq!(codes.len(), expected.len(), "{what}");
    let is_far = |(a, b): (&i8, &i8)| (i32::from(*a) - i32::from(*b)).abs() > 1;
    assert!(!codes.iter().zip(&expected).any(is_far), "{what}: {codes:?}, want {expected:?}");
    assert_close(&[scale], &[cpu_scale], 4e-6, what);
    assert_eq!(sum, codes.iter().map(|&code| i32::from(code)).sum::<i32>(), "{what}");
    (codes, scale)
}

/// Whether workgroups have as many threads as fused kernels need: those of one driver that tests run on have
/// not.
fn fuses(backend: &WgpuBackend) -> bool {
    let fuses = !backend.info().name.is_some_and(|name| name.contains("SwiftShader"));
    if !fuses {
        println!("skipped: {} has no fused kernels", backend.device());
    }
    fuses
}

/// The dispatches of `body`.
fn dispatches(backend: &WgpuBackend, body: impl FnOnce() -> Result<()>) -> Result<u64> {
    backend.synchronize()?;
    let before = (backend.counters().dispatches, AccelerationMetrics::snapshot());
    body()?;
    backend.synchronize()?;
    assert_eq!(AccelerationMetrics::snapshot().since(&before.1).fallbacks, 0);
    Ok(backend.counters().dispatches - before.0)
}

fn rows_of_all_kinds(random: &mut Random, features: usize) -> Vec<(&'static str, Vec<f32>)> {
    let mut floats = || (0..features).map(|_| random.unit() as f32).collect::<Vec<f32>>();
    let with = |mut row: Vec<f32>, place: usize, value: f32| {
        row[place] = value;
        row
    };
    vec![
        ("ordinary", floats()),
        ("the largest last", with(floats(), features - 1, -9.0)),
        ("zeros", vec![0.0; features]),
        ("a NaN", with(floats(), features / 2, f32::NAN)),
        ("a NaN last", with(floats(), features - 1, f32::NAN)),
        ("an infinity", with(floats(), features - 1, f32::NEG_INFINITY)),
        ("squares that overflow", with(floats(), 1, 1e30)),
        ("small", floats().iter().map(|x| x * 1e-12).collect()),
    ]
}

/// What may stand before the norm and behind the product.
#[derive(Clone, Copy, Debug)]
struct Around {
    gate: Option<GateKind>,
    is_added: bool,
}

fn row_product(
    backend: &WgpuBackend,
    weight: &Weight,
    row: &[f32],
    around: Around,
    what: &str,
) -> Result<()> {
    let (device, features) = (backend.device(), row.len());
    let rows = weight.scales.len();
    let packed = weight.on(device)?;
    let mut random = Random::new(features as u64);
    let norm = random.floats(&[features])?;
    let up = random.floats(&[features])?.to_vec::<f32>()?;
    let residual = random.floats(&[1, rows])?;
    // Gate and up in one row, as a projection leaves them.
    let input = if around.gate.is_some() { [row, &up].concat() } else { row.to_vec() };
    let input =
        BitNetTensor::from_vec(input, [1, features * (1 + usize::from(around.gate.is_some()))])?;
    let on_device = (input.to_device(device)?, norm.to_device(device)?);
    let mut codes = QuantizedActivation::empty(device)?;
    let mut gated = BitNetTensor::empty([1, features], BitNetDType::F32, device)?;
    let mut out = BitNetTensor::empty([1, rows], BitNetDType::F32, device)?;
    let mut sum = Some(residual.to_device(device)?);
    let count = dispatches(backend, || {
        match around.gate {
            None => on_device.0.rms_norm_quantize_out(&on_device.1, EPS, &mut codes)?,
            Some(kind) => {
                let parts = (
                    on_device.0.narrow(1, 0, features)?,
                    on_device.0.narrow(1, features, features)?,
                );
                parts.0.gate_out(kind, &parts.1, &mut gated)?;
                gated.rms_norm_quantize_out(&on_device.1, EPS, &mut codes)?;
            }
        }
        codes.linear_out(&packed, &mut out)?;
        if around.is_added {
            sum = sum.take().map(|sum| sum.into_add(&out)).transpose()?;
        }
        Ok(())
    })?;
    // One number is no line of them, which the addition would go through.
    assert!(count == 1 || rows == 1 && around.is_added, "{what}: {count}");
    let mut cpu_row = input.clone();
    if let Some(kind) = around.gate {
        let cpu =
            input.narrow(1, 0, features)?.gate(kind, &input.narrow(1, features, features)?)?;
        assert_close(&gated.to_vec::<f32>()?, &cpu.to_vec::<f32>()?, 1e-6, what);
        cpu_row = gated.to_device(Device::CPU)?;
    }
    let cpu = cpu_row.rms_norm_quantize(&norm, EPS)?;
    let (own, scale) = quantized(&codes, &cpu, what);
    let products = weight.products(&own, scale);
    assert_equal(&out.to_vec::<f32>()?, &products, what);
    let residual = residual.to_vec::<f32>()?;
    let expected: Vec<f32> = match around.is_added {
        true => residual.iter().zip(&products).map(|(a, b)| a + b).collect(),
        false => residual,
    };
    let sum = sum.expect("it was put back").to_vec::<f32>()?;
    assert_equal(&sum, &expected, what);
    Ok(())
}

pub(crate) fn rows_and_products(backend: &WgpuBackend) {
    if !fuses(backend) {
        return;
    }
    use CodeLayout::{Bytes, Int6Bytes};
    let plain = Around { gate: None, is_added: false };
    let added = Around { is_added: true, ..plain };
    let gated = Around { gate: Some(GateKind::ReluSquared), is_added: false };
    let all = Around { gate: Some(GateKind::Silu), is_added: true };
    let mut random = Random::new(31);
    for (layout, shape, arounds) in [
        // Few rows, and such as no number of threads divides.
        (Bytes, [1, 4], &[plain, added, gated, all][..]),
        (Bytes, [7, 20], &[plain, all]),
        (Bytes, [33, 64], &[plain, gated]),
        (Bytes, [65, 80], &[plain, added, gated, all]),
        (Bytes, [131, 208], &[plain, added, gated, all]),
        (Bytes, [100, 1_004], &[added, gated]),
        (Bytes, [48, 6_912], &[plain, all]),
        (Bytes, [35, 6_932], &[added, gated]),
        (Bytes, [9, 12_288], &[plain, all]),
        (Int6Bytes, [5, 16], &[plain, all]),
        (Int6Bytes, [67, 80], &[plain, added, gated, all]),
        (Int6Bytes, [130, 208], &[plain, all]),
        (Int6Bytes, [33, 6_928], &[plain, gated]),
        (Int6Bytes, [10, 12_288], &[added]),
        // Four rows a thread, the last of which has fewer.
        (Bytes, [8_193, 80], &[plain, added]),
        (Bytes, [8_198, 208], &[all]),
        (Int6Bytes, [8_193, 80], &[plain, added]),
        (Int6Bytes, [8_199, 208], &[plain, all]),
        (Int6Bytes, [32_003, 48], &[plain]),
    ] {
        let weight = Weight::new(&mut random, layout, shape).expect("memory");
        let kinds = rows_of_all_kinds(&mut random, shape[1]);
        let kinds = if shape[0] > 8_192 { &kinds[..4] } else { &kinds[..] };
        for (kind, row) in kinds {
            for &around in arounds {
                let what = format!("{layout:?} {shape:?}, {kind}, {around:?}");
                let result = row_product(backend, &weight, row, around, &what);
                result.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// A layer's queries, keys and values of one token and what becomes of them.
#[derive(Clone, Copy, Debug)]
struct Heads {
    features: usize,
    heads: usize,
    kv_heads: usize,
    width: usize,
    mode: RopeMode,
    /// Places of the cache, and of the tables.
    room: usize,
    table: usize,
}

const HEADS: Heads = Heads {
    features: 80,
    heads: 4,
    kv_heads: 2,
    width: 8,
    mode: RopeMode::RotateHalf,
    room: 16,
    table: 32,
};

/// How a chain differs from that of a decoder.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chain {
    Exact,
    ValuesFirst,
    /// Of other places than the keys.
    LargerValues,
    /// The caches lie as they are indexed: a token's heads beside each other.
    TokensFirst,
    /// The first head is not rotated.
    WithoutFirst,
    /// Keys are the last but one of what is rotated.
    OtherKeys,
    /// The values are rotated too.
    AllRotated,
    KeysTwice,
}

struct Attention {
    weight: Weight,
    norm: BitNetTensor,
    tables: [BitNetTensor; 2],
}

/// What a chain leaves: the row's codes, the product, the rotated heads, keys, values.
struct Left {
    quantized: QuantizedActivation,
    parts: [BitNetTensor; 4],
}

impl Attention {
    fn new(of: Heads) -> Result<Self> {
        let mut random = Random::new((of.features * of.width) as u64);
        let rows = (of.heads + 2 * of.kv_heads) * of.width;
        let (cos, sin) = rope::tables(&rope::inverse_frequencies(of.width, 1e4), of.table);
        let table = |values: Vec<f32>| BitNetTensor::from_vec(values, [of.table, of.width / 2]);
        Ok(Self {
            weight: Weight::new(&mut random, CodeLayout::Bytes, [rows, of.features])?,
            norm: random.floats(&[of.features])?,
            tables: [table(cos)?, table(sin)?],
        })
    }

    /// From `x [batch, tokens, features]`; caches are filled with nines before.
    fn run(
        &self,
        of: Heads,
        chain: Chain,
        x: &BitNetTensor,
        positions: &BitNetTensor,
    ) -> Result<Left> {
        let device = x.device();
        let (batch, tokens) = (x.shape()[0], x.shape()[1]);
        let weight = self.weight.on(device)?;
        let norm = self.norm.to_device(device)?;
        let [cos, sin] = [self.tables[0].to_device(device)?, self.tables[1].to_device(device)?];
        let positions = positions.to_device(device)?;
        let cache = |room: usize| -> Result<BitNetTensor> {
            let shape = match chain {
                Chain::TokensFirst => [batch, room, of.kv_heads, of.width],
                _ => [batch, of.kv_heads, room, of.width],
            };
            let nines = BitNetTensor::full(shape, 9.0f32)?.to_device(device)?;
            if chain == Chain::TokensFirst { Ok(nines) } else { nines.permute(&[0, 2, 1, 3]) }
        };
        let mut keys = cache(of.room)?;
        let mut values = cache(of.room + if chain == Chain::LargerValues { 3 } else { 0 })?;
        let mut quantized = QuantizedActivation::empty(device)?;
        let mut out = BitNetTensor::empty([0], BitNetDType::F32, device)?;
        let mut rotated = BitNetTensor::empty([0], BitNetDType::F32, device)?;
        x.rms_norm_quantize_out(&norm, EPS, &mut quantized)?;
        quantized.linear_out(&weight, &mut out)?;
        let (all, with_keys) = (of.heads + 2 * of.kv_heads, of.heads + of.kv_heads);
        let heads = out.reshape([batch, tokens, all, of.width])?;
        let [first, count] = match chain {
            Chain::WithoutFirst => [1, with_keys - 1],
            Chain::AllRotated => [0, all],
            _ => [0, with_keys],
        };
        heads.narrow(2, first, count)?.rope_out(&cos, &sin, &positions, of.mode, &mut rotated)?;
        let key = of.heads - first - usize::from(chain == Chain::OtherKeys);
        let k = rotated.narrow(2, key, of.kv_heads)?;
        let v = heads.narrow(2, with_keys, of.kv_heads)?;
        if chain == Chain::ValuesFirst {
            values.write_rows(&positions, &v)?;
            keys.write_rows(&positions, &k)?;
        } else {
            keys.write_rows(&positions, &k)?;
            values.write_rows(&positions, if chain == Chain::KeysTwice { &k } else { &v })?;
        }
        Ok(Left { quantized, parts: [out, rotated, keys, values] })
    }
}

/// Holds what a chain leaves on a device against the CPU's; the dispatches.
fn check_heads(
    backend: &WgpuBackend,
    of: Heads,
    chain: Chain,
    [batch, tokens]: [usize; 2],
    places: &[u32],
) -> Result<u64> {
    let what = format!("{of:?} {chain:?} {batch} {tokens} at {places:?} on {}", backend.device());
    let attention = Attention::new(of)?;
    let x = Random::new(7).floats(&[batch, tokens, of.features])?;
    let positions = BitNetTensor::from_slice(places, [batch, tokens])?;
    let on_device = x.to_device(backend.device())?;
    let mut found = None;
    let count = dispatches(backend, || {
        found = Some(attention.run(of, chain, &on_device, &positions)?);
        Ok(())
    })?;
    let found = found.expect("it was run");
    let cpu = attention.run(of, chain, &x, &positions)?;
    if batch * tokens == 1 {
        let (codes, scale) = quantized(&found.quantized, &cpu.quantized, &what);
        let products = attention.weight.products(&codes, scale);
        assert_equal(&found.parts[0].to_vec::<f32>()?, &products, &what);
        // The rest from the same products: a driver may join the rotation's two steps.
        let places = of.room + if chain == Chain::LargerValues { 3 } else { 0 };
        let out = found.parts[0].to_vec::<f32>()?;
        let values = found.parts[3].copy()?.to_vec::<f32>()?;
        let first = (of.heads + of.kv_heads) * of.width;
        for place in 0..places {
            for n in 0..of.kv_heads * of.width {
                let is_written = place == positions.to_vec::<u32>()?[0] as usize;
                let value = values[place * of.kv_heads * of.width + n];
                if chain != Chain::KeysTwice {
                    assert_eq!(value, if is_written { out[first + n] } else { 9.0 }, "{what}");
                }
            }
        }
    }
    for (n, (found, cpu)) in found.parts.iter().zip(&cpu.parts).enumerate() {
        let [found, cpu] = [found.copy()?.to_vec::<f32>()?, cpu.copy()?.to_vec::<f32>()?];
        // A code that is another by one.
        assert_close(&found, &cpu, 0.02, &format!("{n} of {what}"));
    }
    // What was rotated is what lies in the cache, and nothing beside it.
    let [rotated, keys] = [1, 2].map(|n| found.parts[n].copy().and_then(|x| x.to_vec::<f32>()));
    let (rotated, keys) = (rotated?, keys?);
    let written = keys.iter().filter(|&&x| x != 9.0).count();
    assert_eq!(written, batch * tokens * of.kv_heads * of.width, "{what}");
    assert!(keys.iter().all(|x| *x == 9.0 || rotated.contains(x)), "{what}");
    Ok(count)
}

pub(crate) fn heads(backend: &WgpuBackend) {
    if !fuses(backend) {
        return;
    }
    for mode in [RopeMode::RotateHalf, RopeMode::AdjacentPairs] {
        for (width, features) in
            [(8, 80), (64, 208), (80, 64), (2, 20), (6, 100), (128, 1_004), (64, 11_776)]
        {
            for (heads, kv_heads) in [(4, 2), (1, 1), (5, 5), (9, 3)] {
                if features > 2_000 && heads > 1 {
                    continue;
                }
                let of = Heads { features, heads, kv_heads, width, mode, ..HEADS };
                for place in [0, 7, 15] {
                    let count = check_heads(backend, of, Chain::Exact, [1, 1], &[place]);
                    assert_eq!(count.expect("computed"), 1, "{of:?}");
                }
            }
        }
    }
    let count = check_heads(backend, HEADS, Chain::TokensFirst, [1, 1], &[3]);
    assert_eq!(count.expect("computed"), 1);
    // With codes that fill the memory that every adapter's workgroups have.
    let of = Heads { features: 12_288, heads: 2, ..HEADS };
    check_heads(backend, of, Chain::Exact, [1, 1], &[3]).expect("computed");
}

pub(crate) fn other_chains(backend: &WgpuBackend) {
    use Chain::*;
    for mode in [RopeMode::RotateHalf, RopeMode::AdjacentPairs] {
        for width in [8, 64] {
            let of = Heads { width, mode, ..HEADS };
            for chain in [ValuesFirst, LargerValues, WithoutFirst, OtherKeys, AllRotated, KeysTwice]
            {
                check_heads(backend, of, chain, [1, 1], &[5]).expect("computed");
            }
            for chain in [Exact, TokensFirst] {
                check_heads(backend, of, chain, [1, 2], &[4, 5]).expect("computed");
                check_heads(backend, of, chain, [2, 1], &[9, 2]).expect("computed");
                check_heads(backend, of, chain, [2, 3], &[0, 1, 2, 7, 8, 9]).expect("computed");
            }
        }
    }
}

#[allow(dead_code, reason = "one file of tests calls it")]
pub(crate) fn places_beyond(backend: &WgpuBackend) {
    let device = backend.device();
    for (room, table, place) in
        [(16, 32, 16), (16, 32, 31), (16, 32, 32), (16, 8, 8), (16, 8, 15), (16, 32, u32::MAX >> 1)]
    {
        let of = Heads { room, table, ..HEADS };
        let attention = Attention::new(of).expect("memory");
        let x = Random::new(8).floats(&[1, 1, of.features]).expect("memory");
        let positions = BitNetTensor::from_vec(vec![place], [1, 1]).expect("memory");
        let x = x.to_device(device).expect("memory");
        let left = attention.run(of, Chain::Exact, &x, &positions).expect("recorded");
        let refused = backend.synchronize();
        assert!(matches!(refused, Err(TensorOpError::ComputationError(_))), "{refused:?}");
        let text = refused.expect_err("refused").to_string();
        assert!(text.contains(&format!("{place} is out of range")), "{text}");
        // Told once; and beyond the cache nothing is written.
        for cache in &left.parts[2..] {
            let all = cache.copy().and_then(|x| x.to_vec::<f32>()).expect("told before");
            assert!(place < 16 || all.iter().all(|&x| x == 9.0), "{place}: {all:?}");
        }
    }
}
