//! Weights of block formats as tensors: used where they lie, taken apart by rows, multiplied; and
//! ternary ones in every layout of files, which give the same bits.

use std::sync::Arc;

use bitnet_kernels::Cpu;
use bitnet_kernels::blocks::{BlockFormat, quantize};
use bitnet_kernels::ternary::{pack_blocks, pack_huggingface, pack_i2_s};
use bitnet_tensor::{
    BitNetDType, BitNetTensor, CodeLayout, Device, I2sBlock, Result, TensorOpError,
};

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 + i * i % 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn of_bytes(bytes: Vec<u8>, format: BlockFormat, shape: [usize; 2]) -> Result<BitNetTensor> {
    let length = bytes.len();
    BitNetTensor::from_foreign(Arc::new(bytes), 0..length, BitNetDType::Block(format), shape)
}

fn blocks(format: BlockFormat, shape: [usize; 2]) -> (BitNetTensor, Vec<u8>) {
    let mut bytes = vec![0; format.byte_len(shape[0], shape[1]).unwrap()];
    quantize(Cpu::best(), format, shape[1], &numbers(shape[0] * shape[1]), &mut bytes).unwrap();
    (of_bytes(bytes.clone(), format, shape).unwrap(), bytes)
}

#[test]
fn bytes_are_used_where_they_lie() -> Result<()> {
    let (weight, bytes) = blocks(BlockFormat::Q4_1, [6, 64]);
    assert_eq!(weight.dtype().name(), "q4_1");
    assert_eq!((weight.byte_size(), bytes.len()), (240, 240));
    assert_eq!(weight.block_bytes()?, bytes);
    let rows = weight.narrow(0, 2, 3)?;
    assert!(rows.shares_storage_with(&weight));
    assert_eq!((rows.byte_size(), rows.block_bytes()?), (120, &bytes[80..200]));
    let numbers = weight.to_dtype(BitNetDType::F32)?;
    assert_eq!(
        rows.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?,
        numbers.narrow(0, 2, 3)?.to_vec::<f32>()?
    );
    let ids = BitNetTensor::from_vec(vec![5i64, -6, 1], [3])?;
    assert_eq!(
        weight.index_select(0, &ids)?.to_vec::<f32>()?,
        numbers.index_select(0, &ids)?.to_vec::<f32>()?
    );
    let one = BitNetTensor::from_vec(vec![1u32], [1])?;
    assert_eq!(
        rows.index_select(0, &one)?.to_vec::<f32>()?,
        numbers.narrow(0, 3, 1)?.to_vec::<f32>()?
    );
    Ok(())
}

/// Joined weights give the outputs of their parts side by side, bit for bit.
#[test]
fn joined_weights_multiply_as_their_parts() -> Result<()> {
    for format in [BlockFormat::Q8_0, BlockFormat::Q4_0, BlockFormat::Q4_1, BlockFormat::Q6K] {
        let (a, b) = (blocks(format, [20, 256]).0, blocks(format, [5, 256]).0);
        let x = BitNetTensor::from_vec(numbers(3 * 256), [3, 256])?;
        let joined = x.linear(&BitNetTensor::prepare_weight(&[&a, &b])?)?;
        let parts = [&a, &b].map(|part| {
            BitNetTensor::prepare_weight(&[part]).and_then(|part| x.linear(&part)).unwrap()
        });
        let expected = BitNetTensor::cat(&[&parts[0], &parts[1]], 1)?;
        assert_eq!(joined.to_vec::<f32>()?, expected.to_vec::<f32>()?);

        let exact = x.linear(&a.to_dtype(BitNetDType::F32)?)?.to_vec::<f32>()?;
        for (got, want) in parts[0].to_vec::<f32>()?.iter().zip(exact) {
            assert!((got - want).abs() < 0.5, "{format}: {got} {want}"); // 256 terms of ±1, int8
        }
    }
    Ok(())
}

/// Codes and one scale in the layouts of files: prepared, they are one weight.
#[test]
fn ternary_weights_of_every_layout_give_the_same_bits() -> Result<()> {
    let [rows, columns] = [12, 512];
    let code = |row: usize, col: usize| ((row * 7 + col * 13 + row * col) % 3) as i8 - 1;
    let fill = |row: usize, out: &mut [i8]| {
        (0..columns).for_each(|col| out[col] = code(row, col));
        if row == 3 {
            out[256..].fill(0); // a block without a scale of its own
        }
    };
    let scale = 0.75;
    let codes: Vec<i8> = (0..rows)
        .flat_map(|row| {
            let mut codes = vec![0; columns];
            fill(row, &mut codes);
            codes
        })
        .collect();
    let shape = [rows, columns];
    let scales = || BitNetTensor::from_vec(vec![scale; rows], [rows]);
    let bytes = BitNetTensor::from_vec(codes, shape)?;
    let plain = BitNetTensor::packed_from_parts(CodeLayout::Bytes, bytes, scales()?, shape)?;
    let x = BitNetTensor::from_vec(numbers(2 * columns), [2, columns])?;
    let expected = x.linear(&BitNetTensor::prepare_weight(&[&plain])?)?.to_vec::<f32>()?;
    let dense = plain.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?;

    let mut weights = Vec::new();
    let mut packed = vec![0; rows / 4 * columns];
    pack_huggingface(rows, columns, fill, &mut packed).unwrap();
    let packed = BitNetTensor::from_vec(packed, [rows / 4 * columns])?;
    let layout = CodeLayout::HuggingFace;
    weights.push(BitNetTensor::packed_from_parts(layout, packed, scales()?, shape)?);
    for block in [I2sBlock::Of128, I2sBlock::Of64] {
        let mut packed = vec![0; block.byte_len(rows, columns).unwrap()];
        pack_i2_s(block, rows, columns, scale, fill, &mut packed).unwrap();
        let length = packed.len();
        weights.push(BitNetTensor::from_i2_s(Arc::new(packed), 0..length, block, shape)?);
    }
    for format in BlockFormat::ALL.into_iter().filter(|format| format.has_ternary_codes()) {
        if format == BlockFormat::Q1_0 {
            continue; // has no zero
        }
        let mut packed = vec![0; format.byte_len(rows, columns).unwrap()];
        let fill = |row: usize, codes: &mut [i8], scales: &mut [f32]| {
            fill(row, codes);
            scales.fill(scale);
            if row == 3 && format.row_prefix_bytes() == 0 {
                let half = scales.len() / 2;
                scales[half..].fill(0.0);
            }
        };
        pack_blocks(format, rows, columns, fill, &mut packed).unwrap();
        weights.push(of_bytes(packed, format, shape)?);
    }
    assert_eq!(weights.len(), 3 + 7);
    for weight in &weights {
        assert_eq!(weight.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?, dense, "{weight:?}");
        let prepared = BitNetTensor::prepare_weight(&[weight])?;
        assert_eq!(prepared.dtype(), BitNetDType::Ternary);
        assert_eq!(x.linear(&prepared)?.to_vec::<f32>()?, expected);
    }
    // Different layouts join.
    let joined = BitNetTensor::prepare_weight(&[&weights[0], &weights[3]])?;
    assert_eq!(joined.dtype(), BitNetDType::Ternary);
    Ok(())
}

/// Scales that differ within a row, and codes +2: products by groups.
#[test]
fn ternary_codes_with_scales_of_groups_are_multiplied_by_groups() -> Result<()> {
    for code in [1, 2] {
        let (rows, columns) = (3, 128);
        let mut bytes = vec![0; BlockFormat::Q2_0.byte_len(rows, columns).unwrap()];
        for (n, block) in bytes.chunks_exact_mut(18).enumerate() {
            let scale = half::f16::from_f32(if code == 2 { 0.5 } else { 0.25 + n as f32 });
            block[..2].copy_from_slice(&scale.to_le_bytes());
            block[2..].fill(0b01_00_10_00 | (code + 1) << 6);
        }
        let weight = of_bytes(bytes, BlockFormat::Q2_0, [rows, columns])?;
        let prepared = BitNetTensor::prepare_weight(&[&weight])?;
        assert_eq!(prepared.dtype(), BitNetDType::Block(BlockFormat::Q2_0));
        // Numbers that int8 says exactly.
        let x: Vec<f32> = (0..columns).map(|i| (i * 5 % 255) as f32 - 127.0).collect();
        let x: Vec<f32> =
            x.iter().enumerate().map(|(i, &v)| if i % 32 == 0 { 127.0 } else { v }).collect();
        let x = BitNetTensor::from_vec(x, [1, columns])?;
        let exact = x.linear(&weight.to_dtype(BitNetDType::F32)?)?.to_vec::<f32>()?;
        let got = x.linear(&prepared)?.to_vec::<f32>()?;
        for (got, want) in got.iter().zip(exact) {
            assert!((got - want).abs() <= 1e-5 * want.abs().max(100.0), "{got} {want}");
        }
    }
    Ok(())
}

#[test]
fn misuse_is_named() {
    let (weight, _) = blocks(BlockFormat::Q8_0, [4, 32]);
    let (other, _) = blocks(BlockFormat::Q4_0, [4, 32]);
    let prepared = BitNetTensor::prepare_weight(&[&weight]).unwrap();
    let x = BitNetTensor::zeros([2, 32], BitNetDType::F32).unwrap();
    let message = |result: Result<BitNetTensor>| result.unwrap_err().to_string();
    let unprepared = x.linear(&weight).unwrap_err();
    assert!(matches!(unprepared, TensorOpError::UnsupportedOperation(_)));
    assert_eq!(
        unprepared.to_string(),
        "linear(q8_0[4, 32]): the weight is not prepared: see BitNetTensor::prepare_weight"
    );
    assert_eq!(
        message(BitNetTensor::prepare_weight(&[&weight, &other])),
        "prepare_weight(q8_0[4, 32], q4_0[4, 32]): the weights are neither all ternary, nor all \
         int6, nor of one \
         block format"
    );
    assert_eq!(
        message(BitNetTensor::prepare_weight(&[&prepared, &weight])),
        "prepare_weight(q8_0[4, 32], q8_0[4, 32]): prepared block weights are not joined"
    );
    assert_eq!(
        message(weight.to_dtype(BitNetDType::F16)),
        "to_dtype(q8_0[4, 32]): a q8_0 weight is dequantized to f32"
    );
    assert_eq!(
        message(prepared.to_dtype(BitNetDType::F32)),
        "to_dtype(q8_0[4, 32]): a prepared weight is for products: keep the one that it was \
         prepared from"
    );
    assert_eq!(
        message(x.to_dtype(BitNetDType::Block(BlockFormat::Q8_0))),
        "to_dtype(f32[2, 32]): q8_0 is made by the kernels' `blocks::quantize` and `from_foreign`"
    );
    assert_eq!(
        message(weight.transpose(0, 1)),
        "permute(q8_0[4, 32]): a packed weight has no views"
    );
    assert_eq!(
        message(weight.narrow(1, 0, 32)),
        "slice(q8_0[4, 32]): a packed weight has no views"
    );
    assert_eq!(
        message(prepared.narrow(0, 0, 2)),
        "slice(q8_0[4, 32]): a packed weight has no views"
    );
    assert_eq!(
        message(weight.add(&weight)),
        "add(q8_0[4, 32], q8_0[4, 32]): not for q8_0: convert with to_dtype first"
    );
    assert_eq!(message(weight.sum(&[], false)), "sum(q8_0[4, 32]): takes numbers or bool");
    assert_eq!(
        message(x.matmul(&weight)),
        "matmul(f32[2, 32], q8_0[4, 32]): the product with a packed weight is x.linear(weight): x · \
         weightᵀ"
    );
    assert_eq!(
        message(BitNetTensor::empty([4, 32], BitNetDType::Block(BlockFormat::Q8_0), Device::CPU)),
        "empty: a q8_0 tensor is made by quantizing or packing"
    );
    assert_eq!(
        message(of_bytes(vec![0; 34], BlockFormat::Q8_0, [1, 31])),
        "from_foreign: 31 columns are no multiple of the 32 of a Q8_0 block"
    );
    assert_eq!(
        message(of_bytes(vec![0; 33], BlockFormat::Q8_0, [1, 32])),
        "from_foreign: 33 bytes are not the size of q8_0[1, 32]"
    );
}
