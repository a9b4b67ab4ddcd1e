//! Kernels for large matrices, long contexts and long rows: what the conformance suite's small operands do
//! not reach.

mod adapters;

use adapters::each_device;
use bitnet_tensor::backend::Backend;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};

/// Small numbers of both signs.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|n| (n * 7 % 13) as f32 - 6.0).collect()
}

/// Zeros and ones with signs: products of few hundred are exact in every type.
fn signs(dtype: BitNetDType, [rows, columns]: [usize; 2], turned: bool) -> Result<BitNetTensor> {
    let values = (0..rows * columns).map(|n| (n * 5 % 7 % 3) as f32 - 1.0).collect::<Vec<_>>();
    let shape = if turned { [columns, rows] } else { [rows, columns] };
    let matrix = BitNetTensor::from_vec(values, shape)?.to_dtype(dtype)?;
    if turned { matrix.transpose(0, 1) } else { Ok(matrix) }
}

#[test]
fn large_products_are_exact() {
    use BitNetDType::{BF16, F16, F32};
    for (dtype, m, k, n) in
        [(F32, 1030, 40, 1026), (F16, 1030, 72, 1026), (F16, 150, 40, 136), (BF16, 66, 36, 130)]
    {
        for (turned_a, turned_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = signs(dtype, [m, k], turned_a).expect("memory");
            let b = signs(dtype, [k, n], turned_b).expect("memory");
            let values = |device: Device| -> Result<Vec<f32>> {
                let on = |x: &BitNetTensor| -> Result<BitNetTensor> {
                    // As it lies: a copy to a device makes it contiguous.
                    let turned = x.transpose(0, 1)?;
                    match x.is_contiguous() {
                        true => x.to_device(device),
                        false => turned.to_device(device)?.transpose(0, 1),
                    }
                };
                on(&a)?.matmul(&on(&b)?)?.to_dtype(F32)?.to_vec()
            };
            let expected = values(Device::CPU).expect("computed");
            each_device(|backend| {
                let found = values(backend.device()).expect("computed");
                assert!(found == expected, "{dtype} {m}x{k}x{n} {turned_a} {turned_b}");
            });
        }
    }
}

/// The largest difference between two tensors' numbers.
fn distance(a: &BitNetTensor, b: &BitNetTensor) -> Result<f32> {
    let (a, b) = (a.to_vec::<f32>()?, b.to_vec::<f32>()?);
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    Ok(differences.fold(0.0, |most, next| if next <= most { most } else { next }))
}

#[test]
fn long_contexts_are_read_in_slices_and_many_queries_in_tiles() {
    // Tokens, heads, heads of keys, width, room, first position.
    for [tokens, heads, kv_heads, width, room, first] in [
        [1, 6, 3, 64, 900, 890],
        [1, 4, 2, 20, 600, 3],
        [70, 6, 2, 128, 200, 100],
        [33, 4, 1, 36, 70, 0],
    ] {
        let tensor = |shape: [usize; 4]| {
            let values = numbers(shape.iter().product());
            BitNetTensor::from_vec(values, shape)?.mul(&BitNetTensor::full([1], 0.125f32)?)
        };
        let positions = (first as u32..(first + tokens) as u32).collect::<Vec<_>>();
        let operands = (|| -> Result<[BitNetTensor; 4]> {
            let kv = [1, room, kv_heads, width];
            let positions = BitNetTensor::from_vec(positions, [1, tokens])?;
            Ok([tensor([1, tokens, heads, width])?, tensor(kv)?, tensor(kv)?.neg()?, positions])
        })()
        .expect("memory");
        let on = |device: Device| -> Result<BitNetTensor> {
            let [q, k, v, positions] = operands.each_ref().map(|x| x.to_device(device));
            q?.attention(&k?, &v?, &positions?, 0.3)
        };
        let expected = on(Device::CPU).expect("computed");
        each_device(|backend| {
            let far = on(backend.device()).and_then(|x| distance(&x, &expected)).expect("computed");
            assert!(far < 1e-5, "{tokens} {heads} {kv_heads} {width} {room}: {far}");
        });
    }
}

#[test]
fn rows_that_threads_keep_sum_to_one() {
    for features in [1025, 4096, 5000] {
        let x = BitNetTensor::from_vec(numbers(3 * features), [3, features]).expect("memory");
        let expected = x.softmax(-1).expect("computed");
        each_device(|backend| {
            let y = x.to_device(backend.device()).and_then(|x| x.softmax(-1));
            let far = y.and_then(|y| distance(&y, &expected)).expect("computed");
            assert!(far < 1e-8, "{features}: {far}");
        });
    }
}
