//! The CPU against the reference, on every tier of instructions that this processor has, and the
//! tiers against each other bit for bit.

use std::sync::{Arc, Once};

use bitnet_kernels::Cpu;
use bitnet_tensor::backend::registry;
use bitnet_tensor::cpu::CpuBackend;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Element};
use bitnet_testkit::Random;
use bitnet_testkit::conformance::{Family, run_family, run_tiers};

/// A device for each tier, registered.
fn tiers() -> Vec<Device> {
    static ONCE: Once = Once::new();
    let tiers: Vec<(Cpu, Device)> =
        Cpu::available().iter().map(|&cpu| (cpu, Device::new(cpu.isa().name(), 0))).collect();
    ONCE.call_once(|| {
        for &(cpu, device) in &tiers {
            registry::register(Arc::new(CpuBackend::with_tier(cpu, device)))
                .expect("not the CPU's own name");
        }
    });
    tiers.into_iter().map(|(_, device)| device).collect()
}

fn on_every_tier(family: Family) {
    run_family(family, Device::CPU);
    let devices = tiers();
    for &device in &devices {
        run_family(family, device);
    }
    run_tiers(family, &devices);
}

#[test]
fn elementwise() {
    on_every_tier(Family::Elementwise);
}

#[test]
fn movement() {
    on_every_tier(Family::Movement);
}

#[test]
fn reduction() {
    on_every_tier(Family::Reduction);
}

#[test]
fn linalg() {
    on_every_tier(Family::Linalg);
}

#[test]
fn neural() {
    on_every_tier(Family::Neural);
}

#[test]
fn quantization() {
    on_every_tier(Family::Quantization);
}

/// The reference computes in `f64`, which does not hold every 64-bit integer: these are compared
/// with the wrapping operations of the language.
#[test]
fn sixty_four_bit_integers_wrap_around() {
    fn check<T: Element + Copy>(values: impl Fn(u64) -> T, operations: [fn(T, T) -> T; 3]) {
        let mut random = Random::new(7);
        let mut numbers: Vec<T> = (0..100).map(|_| values(random.bits())).collect();
        numbers.extend([0, 1, u64::MAX, u64::MAX >> 1, 1 << 63].map(values));
        let column = BitNetTensor::from_slice(&numbers, [numbers.len(), 1]).expect("memory");
        let row = BitNetTensor::from_slice(&numbers, [numbers.len()]).expect("memory");
        for device in tiers() {
            let (a, b) =
                (column.to_device(device).expect("moved"), row.to_device(device).expect("moved"));
            let results = [a.add(&b), a.sub(&b), a.mul(&b)];
            for (result, operation) in results.into_iter().zip(operations) {
                let want: Vec<T> = numbers
                    .iter()
                    .flat_map(|&a| numbers.iter().map(move |&b| operation(a, b)))
                    .collect();
                assert_eq!(result.and_then(|r| r.to_vec::<T>()).expect("computed"), want);
            }
        }
    }
    let bits = [0, -1, i64::MIN, i64::MAX, -77];
    for device in tiers() {
        let signed =
            BitNetTensor::from_slice(&bits, [5]).and_then(|x| x.to_device(device)).expect("moved");
        let unsigned = signed.to_dtype(BitNetDType::U64).expect("converted");
        assert_eq!(unsigned.to_vec::<u64>().expect("read"), bits.map(|x| x as u64));
        let back = unsigned.to_dtype(BitNetDType::I64).and_then(|x| x.to_vec::<i64>());
        assert_eq!(back.expect("converted"), bits);
    }
    check(|bits| bits, [u64::wrapping_add, u64::wrapping_sub, u64::wrapping_mul]);
    check(|bits| bits as i64, [i64::wrapping_add, i64::wrapping_sub, i64::wrapping_mul]);
}
