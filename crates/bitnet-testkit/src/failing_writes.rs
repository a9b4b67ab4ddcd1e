//! That an operation which fails has written nothing: into the storage that it was given, over its
//! first operand, into the rows of a cache. For any device.

use bitnet_tensor::ops::RopeMode;
use bitnet_tensor::{BitNetTensor, Device, Result, TensorOpError};

use crate::Random;

type Uploaded<'a> = dyn Fn(BitNetTensor) -> Result<BitNetTensor> + 'a;
/// The shape of the target, and an operation that writes to it and finds a value it cannot take.
type Case = (&'static str, &'static [usize], fn(&mut BitNetTensor, &Uploaded<'_>) -> Result<()>);

const CASES: [Case; 4] = [
    ("rows outside of the capacity", &[1, 3, 4], |target, on| {
        let positions = on(BitNetTensor::from_vec(vec![0u32, 9], [1, 2])?)?;
        let rows = on(Random::new(3).floats(&[1, 2, 4])?)?;
        target.write_rows(&positions, &rows)
    }),
    ("elements outside of the axis", &[5], |target, on| {
        let places = on(BitNetTensor::from_vec(vec![0i64, 7], [2])?)?;
        target.set_index([bitnet_tensor::ops::Index::from(&places)], 1.0f32)
    }),
    ("attention at a position outside of the cache", &[1, 3, 1, 4], |target, on| {
        let q = on(Random::new(4).floats(&[1, 3, 1, 4])?)?;
        let keys = on(Random::new(5).floats(&[1, 4, 1, 4])?)?;
        let positions = on(BitNetTensor::from_vec(vec![0u32, 1, 4], [1, 3])?)?;
        q.attention_out(&keys, &keys, &positions, 1.0, target)
    }),
    ("rotation by a position outside of the tables", &[1, 3, 1, 4], |target, on| {
        let x = on(Random::new(6).floats(&[1, 3, 1, 4])?)?;
        let tables = on(Random::new(7).floats(&[4, 2])?)?;
        let positions = on(BitNetTensor::from_vec(vec![0u32, 1, 4], [1, 3])?)?;
        x.rope_out(&tables, &tables, &positions, RopeMode::RotateHalf, target)
    }),
];

/// Asserts it. A device that executes later may report the failure when it is read, and refuse to be
/// read from then on.
///
/// # Panics
/// When an operation succeeds that cannot, or has written something.
pub fn assert_nothing_is_written(device: Device) {
    for (name, shape, write) in CASES {
        check(device, shape, write).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn check(
    device: Device,
    shape: &[usize],
    write: fn(&mut BitNetTensor, &Uploaded<'_>) -> Result<()>,
) -> Result<()> {
    let before = Random::new(8).floats(shape)?;
    let mut target = before.copy()?.to_device(device)?;
    let result = write(&mut target, &|tensor| tensor.to_device(device));
    match (result, target.to_vec::<f32>()) {
        (Err(TensorOpError::ComputationError(_)), Ok(after)) => {
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&after), bits(before.as_slice()?), "something was written");
        }
        (_, Err(TensorOpError::ComputationError(_))) => {}
        (Ok(()), Ok(_)) => panic!("nothing was found wrong"),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    }
    Ok(())
}
