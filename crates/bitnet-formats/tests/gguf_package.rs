//! Files made by the `gguf` package of llama.cpp (`scripts/gguf_cases.py`) are read as they were
//! meant and written again byte for byte.

use std::path::PathBuf;

use bitnet_formats::gguf::{
    Array, GgmlType, Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder, ShardName, Value,
    check_shards,
};

fn case(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf");
    std::fs::read(folder.join(name)).expect("a file of scripts/gguf_cases.py")
}

/// The same content through our writer.
fn written_again(gguf: &Gguf<'_>) -> Vec<u8> {
    let mut metadata = MetadataBuilder::new();
    for (key, value) in gguf.metadata().entries() {
        metadata.push(key, *value).unwrap();
    }
    let spec = |tensor: &bitnet_formats::gguf::GgufTensor<'_>| GgufTensorSpec {
        name: tensor.name.to_owned(),
        ggml_type: tensor.ggml_type,
        shape: tensor.shape.clone(),
    };
    let specs = gguf.tensors().iter().map(spec).collect();
    let mut writer = GgufWriter::new(Vec::new(), &metadata, specs).unwrap();
    for tensor in gguf.tensors() {
        for part in tensor.data.chunks(7) {
            writer.write_part(part).unwrap();
        }
    }
    writer.finish().unwrap()
}

#[test]
fn every_file_is_written_again_byte_for_byte() {
    for name in [
        "values.gguf",
        "tensors.gguf",
        "alignment.gguf",
        "split-00001-of-00003.gguf",
        "split-00002-of-00003.gguf",
        "split-00003-of-00003.gguf",
    ] {
        let file = case(name);
        let gguf = Gguf::parse(&file).unwrap();
        assert_eq!(gguf.version(), 3);
        assert_eq!(written_again(&gguf), file, "{name}");
    }
}

#[test]
fn values_of_every_type() {
    let file = case("values.gguf");
    let gguf = Gguf::parse(&file).unwrap();
    let metadata = gguf.metadata();
    assert_eq!(gguf.architecture(), Some("llama"));
    assert_eq!(metadata.value("test.u8"), Some(Value::U8(255)));
    assert_eq!(metadata.value("test.i8"), Some(Value::I8(-128)));
    assert_eq!(metadata.value("test.u16"), Some(Value::U16(u16::MAX)));
    assert_eq!(metadata.value("test.i16"), Some(Value::I16(i16::MIN)));
    assert_eq!(metadata.value("test.u32"), Some(Value::U32(u32::MAX)));
    assert_eq!(metadata.value("test.i32"), Some(Value::I32(i32::MIN)));
    assert_eq!(metadata.value("test.u64"), Some(Value::U64(u64::MAX)));
    assert_eq!(metadata.value("test.i64"), Some(Value::I64(i64::MIN)));
    assert_eq!(metadata.require::<f32>("test.f32").unwrap().to_bits(), (-0.0_f32).to_bits());
    assert_eq!(metadata.require::<f64>("test.f64").unwrap(), 1e300);
    assert!(metadata.require::<bool>("test.bool").unwrap());
    assert_eq!(metadata.require::<&str>("test.str").unwrap(), "ternär −1, 0, 1");
    assert_eq!(metadata.require::<Vec<i64>>("test.arr.i32").unwrap(), [1, -2, 3]);
    assert_eq!(metadata.require::<Vec<f32>>("test.arr.f32").unwrap(), [0.5, f32::INFINITY]);
    assert_eq!(metadata.require::<Vec<bool>>("test.arr.bool").unwrap(), [true, false, true]);
    let strings = metadata.require::<Vec<&str>>("test.arr.str").unwrap();
    assert_eq!(strings, ["<s>", "", "Ġa", "日本"]);
    assert_eq!(metadata.require::<Vec<u8>>("test.arr.u8").unwrap(), [0, 1, 255]);
    assert_eq!(metadata.require::<Vec<u64>>("test.arr.u64").unwrap(), [1 << 63, 7]);
    assert_eq!(metadata.require::<Vec<Vec<u32>>>("test.arr.arr").unwrap(), [vec![1, 2], vec![3]]);
    let keys: Vec<_> = metadata.entries().iter().map(|(key, _)| *key).collect();
    assert_eq!(keys[..3], ["general.architecture", "test.u8", "test.i8"]);
    assert_eq!(keys.len(), 20);
}

#[test]
fn values_that_do_not_fit_what_is_asked_for() {
    let file = case("values.gguf");
    let gguf = Gguf::parse(&file).unwrap();
    let metadata = gguf.metadata();
    let message = |error: bitnet_formats::FormatError| error.to_string();
    assert_eq!(
        metadata.get::<u32>("test.i8").map_err(message).unwrap_err(),
        "metadata test.i8: is -128, which is not between 0 and 4294967295"
    );
    assert_eq!(
        metadata.get::<Vec<u32>>("test.arr.i32").map_err(message).unwrap_err(),
        "metadata test.arr.i32: element 1 is -2, which is not between 0 and 4294967295"
    );
    assert_eq!(
        metadata.get::<usize>("test.arr.str").map_err(message).unwrap_err(),
        "metadata test.arr.str: is arr of str, expected an integer"
    );
    assert_eq!(
        metadata.require::<Array<'_>>("test.none").map_err(message).unwrap_err(),
        "metadata test.none: is missing"
    );
}

#[test]
fn values_written_from_rust() {
    let mut metadata = MetadataBuilder::new();
    metadata.push("general.architecture", "llama").unwrap();
    metadata.push("test.u8", 255_u8).unwrap();
    metadata.push("test.i8", -128_i8).unwrap();
    metadata.push("test.u16", u16::MAX).unwrap();
    metadata.push("test.i16", i16::MIN).unwrap();
    metadata.push("test.u32", u32::MAX).unwrap();
    metadata.push("test.i32", i32::MIN).unwrap();
    metadata.push("test.u64", u64::MAX).unwrap();
    metadata.push("test.i64", i64::MIN).unwrap();
    metadata.push("test.f32", -0.0_f32).unwrap();
    metadata.push("test.f64", 1e300_f64).unwrap();
    metadata.push("test.bool", true).unwrap();
    metadata.push("test.str", "ternär −1, 0, 1").unwrap();
    metadata.push("test.arr.i32", &[1_i32, -2, 3][..]).unwrap();
    metadata.push("test.arr.f32", &[0.5_f32, f32::INFINITY][..]).unwrap();
    metadata.push("test.arr.bool", &[true, false, true][..]).unwrap();
    metadata.push("test.arr.str", &["<s>", "", "Ġa", "日本"][..]).unwrap();
    metadata.push("test.arr.u8", &[0_u8, 1, 255][..]).unwrap();
    metadata.push("test.arr.u64", &[1_u64 << 63, 7][..]).unwrap();
    // Arrays of arrays are carried over, not made.
    let file = case("values.gguf");
    let nested = Gguf::parse(&file).unwrap().metadata().value("test.arr.arr").unwrap();
    metadata.push("test.arr.arr", nested).unwrap();
    let written = GgufWriter::new(Vec::new(), &metadata, Vec::new()).unwrap().finish().unwrap();
    assert_eq!(written, file);
}

#[test]
fn tensors_of_every_type() {
    let file = case("tensors.gguf");
    let gguf = Gguf::parse(&file).unwrap();
    let mut seen = 0;
    for &ty in GgmlType::ALL {
        let Some(tensor) = gguf.tensor(&format!("{ty}.weight")) else {
            continue;
        };
        assert_eq!(tensor.ggml_type, ty);
        assert_eq!(tensor.shape, [3, 2 * ty.block_len()], "{ty}");
        assert_eq!(tensor.data.len(), 3 * 2 * ty.block_bytes(), "{ty}");
        assert_eq!((tensor.rows(), tensor.row_len()), (3, 2 * ty.block_len()));
        seen += 1;
    }
    assert_eq!(seen + 3, gguf.tensors().len());
    assert_eq!(seen, 33);

    let one = gguf.tensor("one").unwrap().to_raw().unwrap();
    let expected: Vec<u8> = (0..5).flat_map(|i| (i as f32).to_le_bytes()).collect();
    assert_eq!((one.shape, one.data), (vec![5], &expected[..]));
    assert_eq!(gguf.tensor("three").unwrap().shape, [2, 3, 4]);
    assert_eq!(gguf.tensor("four").unwrap().shape, [2, 1, 3, 4]);
}

#[test]
fn alignment_of_its_own() {
    let file = case("alignment.gguf");
    let gguf = Gguf::parse(&file).unwrap();
    assert_eq!(gguf.alignment(), 128);
    for (i, tensor) in gguf.tensors().iter().enumerate() {
        assert_eq!(tensor.range.start % 128, 0);
        assert_eq!(tensor.data, (i as f32).to_le_bytes().repeat(i + 1));
    }
}

#[test]
fn a_model_in_three_files() {
    let name = ShardName::parse("split-00001-of-00003.gguf").unwrap();
    let files: Vec<_> = name.all().map(|name| case(&name)).collect();
    let parts: Vec<_> = files.iter().map(|file| Gguf::parse(file).unwrap()).collect();
    check_shards(&parts).unwrap();
    let split = parts[1].split().unwrap().unwrap();
    assert_eq!((split.number, split.count, split.tensors), (1, 3, Some(5)));
    let names: Vec<_> = parts.iter().flat_map(|part| part.tensors()).map(|t| t.name).collect();
    assert_eq!(names[4], "blk.4.bias");
    assert!(check_shards(&parts[..2]).is_err());
}

#[test]
fn version_2_is_read_alike() {
    let mut file = case("tensors.gguf");
    file[4] = 2;
    let gguf = Gguf::parse(&file).unwrap();
    assert_eq!(gguf.version(), 2);
    assert_eq!(written_again(&gguf), case("tensors.gguf"));
}
