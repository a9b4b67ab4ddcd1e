//! Tensors that need more workgroups than one axis of a grid has, and reductions in two steps.

use bitnet_tensor::{BitNetTensor, Device, Result};

fn devices() -> Result<Vec<Device>> {
    let devices = bitnet_wgpu::register()?;
    assert!(!devices.is_empty(), "there is no adapter: install a Vulkan driver");
    Ok(devices)
}

/// Small integers: sums of them are exact in any order.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|n| (n * 7 % 13) as f32 - 6.0).collect()
}

#[test]
fn every_element_of_a_large_tensor_is_computed() -> Result<()> {
    const COUNT: usize = (65_536 << 10) + 5;
    for device in devices()? {
        let x = BitNetTensor::arange(0..COUNT as u32)?.to_device(device)?;
        let y = x.add(&x)?.to_vec::<u32>()?;
        assert!(y.iter().enumerate().all(|(n, &y)| y == 2 * n as u32));
    }
    Ok(())
}

#[test]
fn long_sums_means_and_extremes_are_exact() -> Result<()> {
    for (shape, axes) in [
        (vec![300_001], vec![0]),
        (vec![3, 100_003], vec![1]),
        (vec![70_001, 3], vec![0]),
        (vec![5_000, 64], vec![0]),
        (vec![4_097, 33], vec![0]),
        (vec![20, 50, 400], vec![0, 2]),
    ] {
        let x = BitNetTensor::from_vec(numbers(shape.iter().product()), shape.as_slice())?;
        let all = |x: &BitNetTensor| -> Result<Vec<Vec<f32>>> {
            let results = [x.sum(&axes, false)?, x.mean(&axes, false)?, x.max(&axes, false)?];
            results.iter().map(|y| y.to_vec::<f32>()).collect()
        };
        let expected = all(&x)?;
        for device in devices()? {
            assert_eq!(all(&x.to_device(device)?)?, expected, "{shape:?} {axes:?} on {device}");
        }
    }
    Ok(())
}
