//! That commands, uploads and read-backs keep their order, however many there are.

use bitnet_tensor::{BitNetTensor, Result};

#[test]
fn uploads_between_many_commands_reach_what_follows_them() -> Result<()> {
    let devices = bitnet_wgpu::register()?;
    assert!(!devices.is_empty(), "there is no adapter: install a Vulkan driver");
    for device in devices {
        let mut sum = BitNetTensor::from_vec(vec![0.0f32; 4], [4])?.to_device(device)?;
        let mut results = Vec::new();
        for n in 0..1000 {
            // A buffer of the same size each time: the one that the last round gave back.
            let x = BitNetTensor::from_vec(vec![n as f32; 4], [4])?.to_device(device)?;
            sum = sum.into_add(&x)?;
            results.push(x.rms_norm(
                &BitNetTensor::from_vec(vec![1.0f32; 4], [4])?.to_device(device)?,
                1e-6f32,
            )?);
            let gated = x.gate(bitnet_tensor::ops::GateKind::ReluSquared, &x)?;
            results.push(gated);
        }
        assert_eq!(sum.to_vec::<f32>()?, [499_500.0; 4]);
        for (n, pair) in results.chunks(2).enumerate() {
            let x = n as f32;
            assert_eq!(pair[1].to_vec::<f32>()?, [x * x * x; 4], "{n}");
        }
    }
    Ok(())
}
