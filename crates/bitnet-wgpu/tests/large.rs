//! Tensors that need more workgroups than one axis of a grid has, and reductions in two steps.

mod adapters;

use adapters::each_device;
use bitnet_tensor::backend::{AccelerationMetrics, Backend};
use bitnet_tensor::ops::UnaryKind;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};
use bitnet_testkit::Random;
use bitnet_testkit::conformance::UNARY;

/// Small integers: sums of them are exact in any order.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|n| (n * 7 % 13) as f32 - 6.0).collect()
}

#[test]
fn every_element_of_a_large_tensor_is_computed() {
    const COUNT: usize = (65_536 << 10) + 5;
    each_device(|backend| {
        let x = BitNetTensor::arange(0..COUNT as u32).and_then(|x| x.to_device(backend.device()));
        let y = x.and_then(|x| x.add(&x)?.to_vec::<u32>()).expect("computed");
        assert!(y.iter().enumerate().all(|(n, &y)| y == 2 * n as u32));
    });
}

#[test]
fn long_sums_means_and_extremes_are_exact() {
    for (shape, axes) in [
        (vec![300_001], vec![0]),
        (vec![3, 100_003], vec![1]),
        (vec![70_001, 3], vec![0]),
        (vec![5_000, 64], vec![0]),
        (vec![4_097, 33], vec![0]),
        (vec![20, 50, 400], vec![0, 2]),
    ] {
        let x = BitNetTensor::from_vec(numbers(shape.iter().product()), shape.as_slice());
        let x = x.expect("memory");
        let all = |x: &BitNetTensor| -> Result<Vec<Vec<f32>>> {
            let results = [x.sum(&axes, false)?, x.mean(&axes, false)?, x.max(&axes, false)?];
            results.iter().map(|y| y.to_vec::<f32>()).collect()
        };
        let expected = all(&x).expect("computed");
        each_device(|backend| {
            let device = backend.device();
            let found = x.to_device(device).and_then(|x| all(&x)).expect("computed");
            assert_eq!(found, expected, "{shape:?} {axes:?} on {device}");
        });
    }
}

/// Many of them equal, some equal to the last that is wanted.
fn few_values(count: usize) -> Vec<f32> {
    (0..count).map(|n| ((n as u32).wrapping_mul(2_654_435_761) >> 20) as f32 / 16.0).collect()
}

#[test]
fn the_largest_of_long_lines_come_in_order() {
    let line = few_values(2 * 50_001);
    for shape in [vec![100_002], vec![2, 50_001]] {
        let x = BitNetTensor::from_slice(&line, shape.as_slice()).expect("memory");
        for k in [1, 40, 1000] {
            let all = |x: &BitNetTensor| -> Result<(Vec<f32>, Vec<i64>)> {
                let (values, places) = x.topk(k, -1, true)?;
                Ok((values.to_vec()?, places.to_vec()?))
            };
            let expected = all(&x).expect("computed");
            each_device(|backend| {
                let before = AccelerationMetrics::snapshot();
                let found = x.to_device(backend.device()).and_then(|x| all(&x)).expect("computed");
                assert_eq!(found, expected, "{shape:?} {k} on {}", backend.device());
                assert_eq!(AccelerationMetrics::snapshot().since(&before).fallbacks, 0);
            });
        }
    }
}

#[test]
fn running_sums_and_sums_at_places_are_exact() {
    let x = BitNetTensor::from_vec(numbers(3 * 10_007), [3, 10_007]).expect("memory");
    let places: Vec<i64> = (0..3 * 10_007).map(|n| n * 31 % 500 - 250).collect();
    let places = BitNetTensor::from_vec(places, [3, 10_007]).expect("memory");
    let all = |device: Device| -> Result<Vec<Vec<f32>>> {
        let (x, places) = (x.to_device(device)?, places.to_device(device)?);
        let sums = BitNetTensor::zeros([3, 500], BitNetDType::F32)?.to_device(device)?;
        let down = x.transpose(0, 1)?.cumsum(0)?.transpose(0, 1)?.copy()?;
        let (largest, _) = x.cummax(1)?;
        let results = [x.cumsum(1)?, down, largest, sums.scatter_add(1, &places, &x)?];
        results.iter().map(|y| y.to_vec::<f32>()).collect()
    };
    let expected = all(Device::CPU).expect("computed");
    each_device(|backend| {
        let before = AccelerationMetrics::snapshot();
        assert_eq!(all(backend.device()).expect("computed"), expected, "{}", backend.device());
        assert_eq!(AccelerationMetrics::snapshot().since(&before).fallbacks, 0);
    });
}

#[test]
fn a_bandwidth_is_measured() {
    each_device(|backend| {
        let rate = backend.measure_bandwidth().expect("measured");
        println!("{}: {:.1} GB/s", backend.device(), rate / 1e9);
        assert!(rate.is_finite() && rate > 1e6, "{rate}");
        assert!(backend.pool_stats().live_bytes < 1 << 20, "what was copied is given back");
    });
}

/// Places of floats in their order, so that neighbours differ by one; both zeros are 0.
fn place(x: f32) -> i64 {
    let bits = i64::from(x.to_bits() & 0x7fff_ffff);
    if x.is_sign_negative() { -bits } else { bits }
}

#[test]
fn functions_of_numbers_of_all_sizes_are_close_to_those_of_the_cpu() {
    const STEP: usize = 50_021;
    let numbers: Vec<f32> = (0..=u32::MAX).step_by(STEP).map(f32::from_bits).collect();
    let x = BitNetTensor::from_slice(&numbers, [numbers.len()]).expect("memory");
    each_device(|backend| {
        let on_device = x.to_device(backend.device()).expect("memory");
        // Of those that the CPU computes in `f64`.
        for (kind, function, _) in UNARY.iter().filter(|(kind, ..)| {
            use UnaryKind::*;
            matches!(
                kind,
                Exp2 | Expm1
                    | Log2
                    | Log10
                    | Sin
                    | Cos
                    | Tan
                    | Sinh
                    | Cosh
                    | Erf
                    | Erfc
                    | GeluTanh
                    | Mish
                    | Softplus
                    | LogSigmoid
                    | Selu
                    | LeakyRelu(_)
                    | Elu(_)
                    | Celu(_)
            )
        }) {
            let expected = function(&x).and_then(|y| y.to_vec::<f32>()).expect("computed");
            let before = AccelerationMetrics::snapshot();
            let found = function(&on_device).and_then(|y| y.to_vec::<f32>()).expect("computed");
            assert_eq!(AccelerationMetrics::snapshot().since(&before).fallbacks, 0, "{kind:?}");
            let mut worst = (0, 0.0);
            for ((&x, &want), &got) in numbers.iter().zip(&expected).zip(&found) {
                // Drivers may take the smallest numbers for zeros, of x and of the result.
                let is_small = |x: f32| x.abs() < f32::MIN_POSITIVE;
                let is_lost = is_small(x) || (is_small(want) && got.abs() <= f32::MIN_POSITIVE);
                let distance = match (want.is_nan(), got.is_nan()) {
                    (true, true) => 0,
                    (false, false) if is_lost => 0,
                    (false, false) => (place(want) - place(got)).abs(),
                    _ => i64::MAX,
                };
                if distance > worst.0 {
                    worst = (distance, x);
                }
            }
            let (distance, x) = worst;
            println!("{} {kind:?}: {distance} units at {x:e}", backend.device());
            assert!(distance <= 2, "{kind:?}: {distance} units at {x:e}");
        }
    });
}

/// The places of the largest and the smallest along an axis, one beside the other.
fn places(x: &BitNetTensor, axis: isize) -> Result<Vec<i64>> {
    let largest = x.argmax(axis, false)?.to_vec::<i64>()?;
    Ok([largest, x.argmin(axis, true)?.to_vec::<i64>()?].concat())
}

/// On every device what the CPU finds, without its help.
fn assert_places(x: &BitNetTensor, axis: isize, what: &str) {
    let expected = places(x, axis).expect("computed");
    each_device(|backend| {
        let before = AccelerationMetrics::snapshot();
        let found = x.to_device(backend.device()).and_then(|x| places(&x, axis)).expect("computed");
        assert_eq!(found, expected, "{what} on {}", backend.device());
        assert_eq!(AccelerationMetrics::snapshot().since(&before).fallbacks, 0, "{what}");
    });
}

/// Small distinct numbers but for these, at their places.
fn with(count: usize, special: &[(usize, f32)]) -> BitNetTensor {
    let mut line: Vec<f32> = (0..count).map(|n| (n * 7919 % count) as f32 / count as f32).collect();
    special.iter().for_each(|&(place, value)| line[place] = value);
    BitNetTensor::from_vec(line, [count]).expect("memory")
}

#[test]
fn the_first_of_equals_and_of_nan_is_found_in_any_slice() {
    // One workgroup, two slices, a vocabulary, as many slices as there can be and more elements than such.
    for count in [2048, 2049, 5_000, 128_256, 524_289, 1_000_000] {
        let last = count - 1;
        let nan = f32::NAN;
        let cases: [&[(usize, f32)]; 9] = [
            &[],
            &[(last, 2.0)],
            &[(300, 2.0), (1999, 2.0), (256, 2.0), (last, 2.0), (7, -2.0), (last - 1, -2.0)],
            &[(last, 2.0), (last - 255, 2.0), (last - 256, -2.0), (last - 1, -2.0)],
            &[(3, f32::INFINITY), (900, f32::NEG_INFINITY), (last, nan)],
            &[(last, nan), (1500, nan), (1400, f32::INFINITY)],
            &[(600, nan), (599, -nan), (1, 9.0), (last, nan)],
            &[(5, -0.0), (6, 0.0), (last, -0.0)],
            &[(1100, -1e-40), (1700, -1.1e-40), (12, 1e-45)],
        ];
        for (n, special) in cases.iter().enumerate() {
            assert_places(&with(count, special), 0, &format!("case {n} of {count}"));
        }
    }
    let all_nan = BitNetTensor::full([5_000], f32::NAN).expect("memory");
    assert_places(&all_nan, 0, "nothing but NaN");
    let equal = BitNetTensor::full([70_000], -3.5f32).expect("memory");
    assert_places(&equal, 0, "nothing but equals");
}

#[test]
fn places_are_found_along_any_axis_and_in_integers() {
    let mut random = Random::new(24);
    for shape in [[3, 5_000], [63, 2_500], [64, 2_500], [1, 128_256]] {
        for dtype in [BitNetDType::F32, BitNetDType::F16, BitNetDType::I32, BitNetDType::U32] {
            let x = random.tensor(dtype, &shape).expect("memory");
            assert_places(&x, 1, &format!("{dtype} {shape:?}"));
            let turned = x.transpose(0, 1).and_then(|x| x.copy()).expect("memory");
            assert_places(&turned, 0, &format!("{dtype} {shape:?}, the first axis"));
        }
        // Few values, and so many of each.
        for dtype in [BitNetDType::U8, BitNetDType::I8, BitNetDType::Bool] {
            let x = random.tensor(dtype, &shape).expect("memory");
            assert_places(&x, 1, &format!("{dtype} {shape:?}"));
        }
    }
    // As it lies: every other one, from the end, of the middle axis.
    let x = random.floats(&[2, 6_000, 3]).expect("memory");
    let find = |device: Device| -> Result<Vec<i64>> {
        let x = x.to_device(device)?.slice(1, 17, 2_950, 2)?.flip(&[1])?;
        let (turned, part) = (x.transpose(0, 2)?, x.narrow(2, 1, 1)?);
        Ok([places(&x, 1)?, places(&turned, 1)?, places(&part, 1)?].concat())
    };
    let expected = find(Device::CPU).expect("computed");
    each_device(|backend| assert_eq!(find(backend.device()).expect("computed"), expected));
}

/// Numerators and denominators at which a quotient is hard to round: exact ones, halves between two floats,
/// powers of two and what is next to them, the ends of the range; then any bits.
fn hard_quotients() -> (Vec<f32>, Vec<f32>) {
    let mut random = Random::new(25);
    let (mut above, mut below) = (Vec::new(), Vec::new());
    let mut pair = |a: f32, b: f32| {
        above.push(a);
        below.push(b);
    };
    let edges: Vec<f32> = [
        0x0000_0000,
        0x0000_0001,
        0x0000_0002,
        0x0000_0003,
        0x0040_0000,
        0x007f_ffff,
        0x0080_0000,
        0x0080_0001,
        0x00ff_ffff,
        0x0100_0000,
        0x3f7f_ffff,
        0x3f80_0000,
        0x3f80_0001,
        0x3fff_ffff,
        0x4000_0000,
        0x4040_0000,
        0x40a0_0000,
        0x7e7f_ffff,
        0x7e80_0000,
        0x7f00_0000,
        0x7f7f_fffe,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7f80_0001,
        0x7fc0_0000,
    ]
    .into_iter()
    .flat_map(|bits: u32| [f32::from_bits(bits), f32::from_bits(bits | 0x8000_0000)])
    .collect();
    for &a in &edges {
        edges.iter().for_each(|&b| pair(a, b));
    }
    let float = |bits: u64| f32::from_bits(bits as u32);
    for _ in 0..1_000_000 {
        let bits = random.bits();
        pair(float(bits), float(bits >> 32));
    }
    // Of one exponent or nearly, so that no quotient is lost.
    let near_one = |bits: u64| float(bits & 0x807f_ffff | (126 + (bits >> 24 & 3)) << 23);
    for _ in 0..1_000_000 {
        let bits = random.bits();
        let (b, q) = (near_one(bits), near_one(bits >> 32));
        // What lies beside the product of both has quotients beside q; exact where both have few digits.
        let short = |x: f32| float(u64::from(x.to_bits() & 0xffff_f800));
        pair(short(b) * short(q), short(b));
        for a in [b * q, (b * q).next_up(), (b * q).next_down()] {
            pair(a, b);
        }
        // Beside a power of two.
        pair(b.next_up(), b);
        pair(b.next_down(), 2.0 * b);
    }
    // Quotients that are not normal, whose rounding is at another digit.
    for _ in 0..500_000 {
        let bits = random.bits();
        let power =
            |bits: u64, most: u64| float(bits & 0x807f_ffff | (1 + (bits >> 23 & 63) % most) << 23);
        pair(power(bits, 30), near_one(bits >> 32) * 16.0);
    }
    (above, below)
}

#[test]
fn quotients_are_rounded_as_the_cpu_does() {
    let (above, below) = hard_quotients();
    let on = |x: &[f32], device: Device| BitNetTensor::from_slice(x, [x.len()])?.to_device(device);
    each_device(|backend| {
        let device = backend.device();
        let divide =
            || -> Result<Vec<f32>> { on(&above, device)?.div(&on(&below, device)?)?.to_vec() };
        let before = AccelerationMetrics::snapshot();
        let found = divide().expect("computed");
        assert_eq!(AccelerationMetrics::snapshot().since(&before).fallbacks, 0);
        for ((&a, &b), &got) in above.iter().zip(&below).zip(&found) {
            let want = a / b;
            let is_right = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            // The kernel has operands and result as integers: no driver takes the smallest for zeros.
            assert!(is_right, "{a:e} / {b:e}: {got:e}, want {want:e} on {device}");
        }
        println!("{device}: {} quotients", found.len());
    });
}
