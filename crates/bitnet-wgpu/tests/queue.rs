//! That commands, uploads and read-backs keep their order, however many there are.

mod adapters;

use bitnet_tensor::backend::Backend;
use bitnet_tensor::ops::GateKind;
use bitnet_tensor::random::Generator;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result, TensorOpError};

#[test]
fn uploads_between_many_commands_reach_what_follows_them() {
    adapters::each_device(|backend| check(backend.device()).expect("computed"));
}

#[test]
fn an_unsigned_index_does_not_count_from_the_end() {
    adapters::each_device(|backend| {
        let on = |x: Result<BitNetTensor>| x.and_then(|x| x.to_device(backend.device()));
        let x = on(BitNetTensor::from_vec(vec![1.0f32, 2.0], [2])).expect("memory");
        let last = on(BitNetTensor::from_vec(vec![-1i32], [1])).expect("memory");
        let chosen = x.gather(0, &last).and_then(|y| y.to_vec::<f32>());
        assert_eq!(chosen.expect("the last"), [2.0]);
        let beyond = on(BitNetTensor::from_vec(vec![u32::MAX], [1])).expect("memory");
        let refused = x.gather(0, &beyond).and_then(|y| y.to_vec::<f32>());
        assert!(matches!(refused, Err(TensorOpError::ComputationError(_))), "{refused:?}");
    });
}

#[test]
fn places_beyond_the_axis_are_reported_by_name() {
    adapters::each_device(|backend| {
        let on = |x: Result<BitNetTensor>| x.and_then(|x| x.to_device(backend.device()));
        let x = on(BitNetTensor::from_vec(vec![1.0f32, 2.0], [2])).expect("memory");
        for (index, named) in [(2, "2"), (-3, "-3"), (1i64 << 40, "2147483647")] {
            let index = on(BitNetTensor::from_vec(vec![index], [1])).expect("memory");
            let source = on(BitNetTensor::from_vec(vec![3.0f32], [1])).expect("memory");
            let results: [(&str, &dyn Fn() -> Result<BitNetTensor>); 4] = [
                ("scatter", &|| x.scatter(0, &index, &source)),
                ("scatter_add", &|| x.scatter_add(0, &index, &source)),
                ("gather", &|| x.gather(0, &index)),
                ("index_select", &|| x.index_select(0, &index)),
            ];
            for (name, result) in results {
                let error = result().and_then(|y| y.to_vec::<f32>()).expect_err("out of range");
                let begin = format!("{name}: {named} is out of range");
                assert!(error.to_string().starts_with(&begin), "{error}");
            }
        }
    });
}

#[test]
fn kernels_of_one_name_are_not_taken_for_each_other() {
    adapters::each_device(|backend| {
        // Keys that are read four numbers at a time, then such as are not, in as large a workgroup.
        for width in [64, 33] {
            let all = |device: Device| -> Result<Vec<f32>> {
                let random = |seed, shape: [usize; 4]| {
                    Generator::new(seed)
                        .uniform(shape, -1.0, 1.0, BitNetDType::F32)?
                        .to_device(device)
                };
                let (q, k) = (random(1, [1, 2, 2, width])?, random(2, [1, 4, 2, width])?);
                let positions = BitNetTensor::from_vec(vec![2u32, 3], [1, 2])?.to_device(device)?;
                q.attention(&k, &k, &positions, 0.3)?.to_vec()
            };
            let expected = all(Device::CPU).expect("computed");
            let found = all(backend.device()).expect("computed");
            let far = found.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-5);
            assert!(!far, "{width}: {found:?}, want {expected:?}");
        }
    });
}

#[test]
fn results_go_where_they_are_asked_for() {
    adapters::each_device(|backend| given_storage(backend.device()).expect("computed"));
}

/// Into the second half of a buffer, and over the operand of what was before.
fn given_storage(device: Device) -> Result<()> {
    let on = |values: Vec<f32>| {
        let shape = [1, values.len()];
        BitNetTensor::from_vec(values, shape)?.to_device(device)
    };
    let mut half = on(vec![9.0; 8])?.narrow(1, 4, 4)?;
    let x = on(vec![1.0, -2.0, 3.0, 4.0])?;
    x.gate_out(GateKind::ReluSquared, &x, &mut half)?;
    assert_eq!(half.to_vec::<f32>()?, [1.0, 0.0, 27.0, 64.0]);

    // The row that was normalised is written over by the product.
    let weight = BitNetTensor::from_vec([1.0f32, -1.0, 0.0, 1.0].repeat(4), [4, 4])?.ternarize()?;
    let norm = BitNetTensor::full([4], 1.0f32)?;
    let product = |device: Device| -> Result<Vec<f32>> {
        let weight = weight.to_device(device)?;
        let weight = BitNetTensor::prepare_weight(&[&weight])?;
        let mut x =
            BitNetTensor::from_vec(vec![1.0f32, -2.0, 3.0, 4.0], [1, 4])?.to_device(device)?;
        let row = x.rms_norm_quantize(&norm.to_device(device)?, 1e-6)?;
        row.linear_out(&weight, &mut x)?;
        x.to_vec()
    };
    // Drivers add the squares of the row in an order of their own.
    let (ours, exact) = (product(device)?, product(Device::CPU)?);
    let is_close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs();
    assert!(ours.iter().zip(&exact).all(is_close), "{ours:?} {exact:?}");
    Ok(())
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
