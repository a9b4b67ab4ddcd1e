//! That commands, uploads and read-backs keep their order, however many there are.

mod adapters;

use bitnet_tensor::backend::Backend;
use bitnet_tensor::ops::GateKind;
use bitnet_tensor::{BitNetTensor, Device, Result};

#[test]
fn uploads_between_many_commands_reach_what_follows_them() {
    adapters::each_device(|backend| check(backend.device()).expect("computed"));
}

fn check(device: Device) -> Result<()> {
    let four = |value: f32| BitNetTensor::from_vec(vec![value; 4], [4])?.to_device(device);
    let mut sum = four(0.0)?;
    let mut results = Vec::new();
    for n in 0..1000 {
        // A buffer of the same size each time: the one that the last round gave back.
        let x = four(n as f32)?;
        sum = sum.into_add(&x)?;
        // Held back until it is known what follows.
        results.push(x.gate(GateKind::ReluSquared, &x)?);
    }
    assert_eq!(sum.to_vec::<f32>()?, [499_500.0; 4]);
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.to_vec::<f32>()?, [(n as f32).powi(3); 4], "{n}");
    }
    Ok(())
}
