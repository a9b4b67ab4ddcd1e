//! Several threads that use one device at the same time: what one writes, the commands of another do not
//! see too early, and a device that is lost meanwhile is an error to all of them.

mod adapters;

use std::thread;

use adapters::each_device;
use bitnet_tensor::backend::Backend;
use bitnet_tensor::{BitNetTensor, Device, Result};

const THREADS: u32 = 8;

/// Elements of tensors whose bytes wait for their turn, and of such as do not.
const LENGTHS: [usize; 4] = [3, 64, 5_000, 40_001];

/// Uploads, computes with what is given back at once, and sometimes reads.
fn rounds(device: Device, thread: u32, count: u32) -> Result<()> {
    for n in 0..count {
        let length = LENGTHS[(n + thread) as usize % LENGTHS.len()];
        let value = thread * count + n;
        let on =
            |value: u32| BitNetTensor::from_vec(vec![value; length], [length])?.to_device(device);
        let mut sum = on(value)?;
        for more in 0..n % 16 {
            sum = sum.into_add(&on(more)?)?;
        }
        let expected = value + (0..n % 16).sum::<u32>();
        let found = sum.to_vec::<u32>()?;
        assert!(found.iter().all(|&x| x == expected), "{length} of {value} are not {expected}");
    }
    Ok(())
}

#[test]
fn threads_do_not_see_what_others_write() {
    each_device(|backend| {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || rounds(backend.device(), thread, 200).expect("computed"));
            }
        });
    });
}
