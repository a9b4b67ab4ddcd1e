//! The reader and the writer against the official crate, in both directions, and on random bytes.

use std::collections::{BTreeMap, HashMap};

use bitnet_formats::safetensors::{SafeTensors, SafeTensorsWriter, TensorSpec, write_safetensors};
use bitnet_formats::{RawDType, RawTensor};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

fn official(dtype: RawDType) -> Dtype {
    match dtype {
        RawDType::Bool => Dtype::BOOL,
        RawDType::U8 => Dtype::U8,
        RawDType::I8 => Dtype::I8,
        RawDType::U16 => Dtype::U16,
        RawDType::I16 => Dtype::I16,
        RawDType::F16 => Dtype::F16,
        RawDType::BF16 => Dtype::BF16,
        RawDType::U32 => Dtype::U32,
        RawDType::I32 => Dtype::I32,
        RawDType::F32 => Dtype::F32,
        RawDType::U64 => Dtype::U64,
        RawDType::I64 => Dtype::I64,
        RawDType::F64 => Dtype::F64,
    }
}

/// One tensor of every dtype with distinct bytes, and the odd shapes: scalar, empty, rank 4.
fn samples() -> Vec<(String, RawDType, Vec<usize>, Vec<u8>)> {
    let shapes: [&[usize]; 4] = [&[3], &[], &[2, 0, 5], &[2, 1, 3, 2]];
    let mut samples = Vec::new();
    for (i, dtype) in RawDType::ALL.into_iter().enumerate() {
        let shape = shapes[i % shapes.len()].to_vec();
        let bytes = dtype.byte_len(&shape).unwrap();
        let data = (0..bytes).map(|b| (b * 31 + i * 7) as u8).collect();
        samples.push((format!("layer.{i}.\"ä\""), dtype, shape, data));
    }
    samples
}

#[test]
fn official_crate_reads_what_we_write() {
    let samples = samples();
    let tensors: Vec<_> = samples
        .iter()
        .map(|(name, dtype, shape, data)| RawTensor {
            name: name.clone(),
            dtype: *dtype,
            shape: shape.clone(),
            data,
            range: 0..0,
        })
        .collect();
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut file = Vec::new();
    write_safetensors(&mut file, &tensors, &metadata).unwrap();

    let (_, header) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    assert_eq!(
        header.metadata().as_ref().unwrap(),
        &HashMap::from([("format".to_owned(), "pt".to_owned())])
    );
    let theirs = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(theirs.len(), samples.len());
    for (name, dtype, shape, data) in &samples {
        let tensor = theirs.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), official(*dtype));
        assert_eq!(tensor.shape(), shape);
        assert_eq!(tensor.data(), data);
    }
}

#[test]
fn we_read_what_the_official_crate_writes() {
    let samples = samples();
    let views = samples.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(official(*dtype), shape.clone(), data).unwrap();
        (name.clone(), view)
    });
    let metadata = HashMap::from([("a".to_owned(), "b".to_owned())]);
    let file = safetensors::serialize(views, Some(metadata)).unwrap();

    let ours = SafeTensors::parse(&file).unwrap();
    assert_eq!(ours.metadata()["a"], "b");
    assert_eq!(ours.tensors().len(), samples.len());
    for (name, dtype, shape, data) in &samples {
        let tensor = ours.tensor(name).unwrap();
        assert_eq!(tensor.dtype, *dtype);
        assert_eq!(&tensor.shape, shape);
        assert_eq!(tensor.data, data);
        assert_eq!(&file[tensor.range.clone()], data);
    }
    let starts: Vec<_> = ours.tensors().iter().map(|t| t.range.start).collect();
    assert!(starts.is_sorted());
}

#[test]
fn written_data_is_aligned() {
    let spec = |name: &str, dtype, n| TensorSpec { name: name.into(), dtype, shape: vec![n] };
    let specs = vec![
        spec("odd", RawDType::U8, 3),
        spec("half", RawDType::F16, 3),
        spec("wide", RawDType::F64, 3),
        spec("single", RawDType::F32, 3),
    ];
    let mut writer = SafeTensorsWriter::new(Vec::new(), specs, &BTreeMap::new()).unwrap();
    while let Some(spec) = writer.next_spec() {
        let data = vec![1; spec.dtype.byte_len(&spec.shape).unwrap()];
        writer.write_next(&data).unwrap();
    }
    let file = writer.finish().unwrap();
    for tensor in SafeTensors::parse(&file).unwrap().tensors() {
        assert_eq!(tensor.range.start % tensor.dtype.size(), 0, "{}", tensor.name);
    }
}

#[test]
fn writer_refuses_what_a_reader_would() {
    let spec = |name: &str, shape: &[usize]| TensorSpec {
        name: name.into(),
        dtype: RawDType::F32,
        shape: shape.to_vec(),
    };
    let none = BTreeMap::new();
    for (specs, part) in [
        (vec![spec("w", &[1]), spec("w", &[2])], "occurs twice"),
        (vec![spec("__metadata__", &[1])], "reserved"),
        (vec![spec("w", &[usize::MAX])], "overflows"),
        (
            vec![spec("a", &[usize::MAX / 4]), spec("b", &[usize::MAX / 4]), spec("c", &[1])],
            "overflow",
        ),
    ] {
        let error = SafeTensorsWriter::new(Vec::new(), specs, &none).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let mut writer = SafeTensorsWriter::new(Vec::new(), vec![spec("w", &[2])], &none).unwrap();
    let error = writer.write_next(&[0; 7]).unwrap_err().to_string();
    assert_eq!(error, "tensor w: 7 bytes given, shape [2] of F32 needs 8");
    let error = writer.finish().unwrap_err().to_string();
    assert_eq!(error, "tensor w: was never written");
}

#[test]
fn file_without_tensors() {
    let mut file = Vec::new();
    write_safetensors(&mut file, &[], &BTreeMap::new()).unwrap();
    assert_eq!(file, b"\x08\0\0\0\0\0\0\0{}      ");
    assert!(SafeTensors::parse(&file).unwrap().tensors().is_empty());
    assert!(safetensors::SafeTensors::deserialize(&file).unwrap().is_empty());
}

#[test]
fn bundled_model_reads_as_the_official_crate_reads_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/stories-27m/model.safetensors");
    let file = std::fs::read(path).unwrap();
    let ours = SafeTensors::parse(&file).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(ours.tensors().len(), theirs.len());
    for tensor in ours.tensors() {
        let oracle = theirs.tensor(&tensor.name).unwrap();
        assert_eq!(official(tensor.dtype), oracle.dtype());
        assert_eq!(tensor.shape, oracle.shape());
        assert_eq!(tensor.data, oracle.data());
    }
    let embedding = ours.tensor("model.embed_tokens.weight").unwrap();
    assert_eq!(embedding.shape, [4096, 512]);
}

proptest! {
    /// Whatever the bytes, no panic; and what we accept, the official crate accepts.
    #[test]
    fn any_bytes_are_refused_or_valid(
        header in "[ -~]{0,64}",
        cut in 0..80_usize,
        flips in prop::collection::vec((0..400_usize, any::<u8>()), 0..4),
        template in 0..3_usize,
    ) {
        let mut bytes = match template {
            0 => {
                let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
                bytes.extend_from_slice(header.as_bytes());
                bytes
            }
            _ => {
                let tensors = [("a", &[1_u8, 2, 3, 4][..]), ("b", &[5, 6]), ("c", &[7, 8, 9])];
                let tensors = tensors.map(|(name, data)| RawTensor {
                    name: name.into(), dtype: RawDType::U8, shape: vec![data.len()], data, range: 0..0,
                });
                let mut bytes = Vec::new();
                write_safetensors(&mut bytes, &tensors, &BTreeMap::new()).unwrap();
                bytes
            }
        };
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if template == 2 {
            bytes.truncate(bytes.len().saturating_sub(cut));
        }
        if SafeTensors::parse(&bytes).is_ok() {
            prop_assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());
        }
    }
}
