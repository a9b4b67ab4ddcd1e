//! Weights of block formats: rows taken, numbers made of them, products.

use std::sync::Arc;

use bitnet_tensor::BitNetDType::F32;
use bitnet_tensor::{BitNetDType, BitNetTensor, BlockFormat, Result};
use half::f16;

use super::super::Case;
use crate::{Random, Tolerance};

/// The formats, and where a block has its `f16` scales.
const FORMATS: [(BlockFormat, &[usize]); 7] = [
    (BlockFormat::Q8_0, &[0]),
    (BlockFormat::Q4_0, &[0]),
    (BlockFormat::Q4_1, &[0, 2]),
    (BlockFormat::Q5_1, &[0, 2]),
    (BlockFormat::Q4K, &[0, 2]),
    (BlockFormat::Q6K, &[208]),
    (BlockFormat::Q2_0, &[0]),
];

pub(super) fn cases(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(61);
    for (format, scales) in FORMATS {
        let block = format.block_len();
        for [rows, columns] in [[1, block], [17, block], [40, 3 * block]] {
            let weight = weight(&mut random, format, scales, [rows, columns])?;
            let what = format!("{format} [{rows}, {columns}]");
            let mut add = |name: &str,
                           tolerance,
                           operands,
                           computation: fn(&[BitNetTensor]) -> _| {
                cases.push(Case::new(format!("{name} {what}"), tolerance, operands, computation));
            };
            let exact = Tolerance::EXACT;
            add("to_dtype", exact, vec![weight.clone()], |x| Ok(vec![x[0].to_dtype(F32)?]));
            let ids = random.indices(rows, &[2, 3])?;
            add("index_select", exact, vec![weight.clone(), ids], |x| {
                Ok(vec![x[0].index_select(0, &x[1])?])
            });
            add("rows", exact, vec![weight.clone()], |x| {
                let last = x[0].shape()[0] - 1;
                Ok(vec![x[0].narrow(0, last, 1)?.to_dtype(F32)?])
            });
            for tokens in [1, 9] {
                let x = random.floats(&[tokens, columns])?;
                // Weights are at most 2.
                let tolerance = Tolerance::sum(4 * columns, F32);
                add("linear", tolerance, vec![x, weight.clone()], |x| {
                    let weight = BitNetTensor::prepare_weight(&[&x[1]])?;
                    Ok(vec![x[0].linear(&weight)?])
                });
            }
        }
    }
    Ok(())
}

/// A weight of any codes, with scales that keep its elements to [−2, 2].
fn weight(
    random: &mut Random,
    format: BlockFormat,
    scales: &[usize],
    [rows, columns]: [usize; 2],
) -> Result<BitNetTensor> {
    let blocks = rows * columns / format.block_len();
    let mut bytes = Vec::new();
    for _ in 0..blocks {
        let mut block: Vec<u8> = (0..format.block_bytes()).map(|_| random.bits() as u8).collect();
        let largest = match format {
            BlockFormat::Q8_0 => 128.0,
            BlockFormat::Q5_1 => 32.0,
            BlockFormat::Q4K => 15.0 * 63.0,
            BlockFormat::Q6K => 32.0 * 128.0,
            _ => 16.0,
        };
        for &place in scales {
            let scale = f16::from_f64(random.unit() / largest);
            block[place..place + 2].copy_from_slice(&scale.to_le_bytes());
        }
        bytes.extend(block);
    }
    let length = bytes.len();
    let dtype = BitNetDType::Block(format);
    BitNetTensor::from_foreign(Arc::new(bytes), 0..length, dtype, [rows, columns])
}
