//! Tensors that need more workgroups than one axis of a grid has, and reductions in two steps.

mod adapters;

use adapters::each_device;
use bitnet_tensor::backend::Backend;
use bitnet_tensor::{BitNetTensor, Result};

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
