//! Tensors that need more workgroups than one axis of a grid has, and reductions in two steps.

mod adapters;

use adapters::each_device;
use bitnet_tensor::backend::{AccelerationMetrics, Backend};
use bitnet_tensor::ops::UnaryKind;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};
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
