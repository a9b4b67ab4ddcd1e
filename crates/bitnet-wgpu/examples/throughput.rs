//! What the operations of a tensor library reach on the best GPU: bytes and products per second, as
//! JSON lines. `benches/gpu_families.py` sets PyTorch beside it.
//!
//! Each operation is enqueued as often as a tenth of a second needs, then waited for once; the median
//! of five such runs.

use std::time::Instant;

use bitnet_tensor::backend::registry;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};

type Operation = Box<dyn Fn() -> Result<BitNetTensor>>;

fn main() -> Result<()> {
    bitnet_wgpu::register()?;
    let device = Device::parse("gpu")?;
    let random = |shape: &[usize]| -> Result<BitNetTensor> {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|n| (n as u32).wrapping_mul(2_654_435_761) as f32 / 4.3e9);
        BitNetTensor::from_vec(values.collect::<Vec<f32>>(), shape)?.to_device(device)
    };
    let flat = random(&[1 << 24])?;
    let other = random(&[1 << 24])?;
    let square = random(&[4096, 4096])?;
    let row = random(&[4096])?;
    let (a, b) = (random(&[2048, 2048])?, random(&[2048, 2048])?);
    let (a_half, b_half) = (a.to_dtype(BitNetDType::F16)?, b.to_dtype(BitNetDType::F16)?);

    // Name, bytes that are read and written, floating point operations.
    let megabytes = (4 << 24) as f64;
    let product = 2.0 * 2048f64.powi(3);
    let operations: Vec<(&str, f64, f64, Operation)> = vec![
        ("add 16M", 3.0 * megabytes, 0.0, {
            let (flat, other) = (flat.clone(), other.clone());
            Box::new(move || flat.add(&other))
        }),
        ("mul row 4096x4096", 2.0 * megabytes, 0.0, {
            let (square, row) = (square.clone(), row.clone());
            Box::new(move || square.mul(&row))
        }),
        ("add transposed 4096x4096", 3.0 * megabytes, 0.0, {
            let (square, turned) = (square.clone(), square.transpose(0, 1)?);
            Box::new(move || square.add(&turned))
        }),
        ("exp 16M", 2.0 * megabytes, 0.0, {
            let flat = flat.clone();
            Box::new(move || flat.exp())
        }),
        ("softmax 4096x4096", 2.0 * megabytes, 0.0, {
            let square = square.clone();
            Box::new(move || square.softmax(-1))
        }),
        ("sum axis 0 4096x4096", megabytes, 0.0, {
            let square = square.clone();
            Box::new(move || square.sum(&[0], false))
        }),
        ("sum axis 1 4096x4096", megabytes, 0.0, {
            let square = square.clone();
            Box::new(move || square.sum(&[1], false))
        }),
        ("sum 16M", megabytes, 0.0, {
            let flat = flat.clone();
            Box::new(move || flat.sum(&[0], false))
        }),
        ("matmul f32 2048", 3.0 * megabytes / 4.0, product, {
            let (a, b) = (a.clone(), b.clone());
            Box::new(move || a.matmul(&b))
        }),
        ("matmul f16 2048", 3.0 * megabytes / 8.0, product, {
            Box::new(move || a_half.matmul(&b_half))
        }),
    ];
    let backend = registry::backend(device)?;
    for (name, bytes, flops, operation) in &operations {
        let seconds = measure(&|| operation().map(drop), &|| backend.synchronize())?;
        println!(
            "{{\"name\": \"{name}\", \"microseconds\": {:.1}, \"gigabytes_per_second\": {:.1}, \
             \"gigaflops\": {:.1}}}",
            seconds * 1e6,
            bytes / seconds / 1e9,
            flops / seconds / 1e9
        );
    }
    Ok(())
}

fn measure(run: &dyn Fn() -> Result<()>, wait: &dyn Fn() -> Result<()>) -> Result<f64> {
    let time = |count: usize| -> Result<f64> {
        let begun = Instant::now();
        (0..count).try_for_each(|_| run())?;
        wait()?;
        Ok(begun.elapsed().as_secs_f64() / count as f64)
    };
    time(3)?;
    let count = (0.1 / time(5)?).clamp(5.0, 2000.0) as usize;
    let mut times = (0..5).map(|_| time(count)).collect::<Result<Vec<_>>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[2])
}
