//! `.npy` and `.npz` against NumPy: files that it wrote (see `scripts/goldens/files.py`) are read,
//! and what is written is the same, byte by byte.

use std::fs;
use std::path::PathBuf;

use bitnet_tensor::{BitNetDType, BitNetTensor};
use serde_json::Value;
use tempfile::TempDir;

fn files(kind: &str) -> Vec<Value> {
    let text = include_str!("../goldens/files.json");
    let Value::Array(files) = serde_json::from_str(text).expect("valid JSON") else {
        panic!("not a list")
    };
    let files: Vec<Value> = files.into_iter().filter(|file| file["kind"] == kind).collect();
    assert!(!files.is_empty());
    files
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().expect("text")
}

fn bytes(entry: &Value, key: &str) -> Vec<u8> {
    let digits = text(entry, key).as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    digits.map(|pair| byte(pair).expect("hexadecimal")).collect()
}

fn put(folder: &TempDir, entry: &Value) -> PathBuf {
    let path = folder.path().join("file");
    fs::write(&path, bytes(entry, "file")).expect("written");
    path
}

/// The elements in row-major order, whatever their type.
fn elements(tensor: &BitNetTensor) -> Vec<u8> {
    let same_size = match tensor.dtype().size_in_bytes() {
        Some(1) if tensor.dtype() == BitNetDType::Bool => {
            return tensor.to_vec::<bool>().expect("bool").into_iter().map(u8::from).collect();
        }
        Some(1) => BitNetDType::U8,
        Some(2) => BitNetDType::U16,
        Some(4) => BitNetDType::U32,
        _ => BitNetDType::U64,
    };
    let bits = tensor.bitcast(same_size).expect("the same size");
    match same_size {
        BitNetDType::U8 => bits.to_vec::<u8>().expect("u8"),
        BitNetDType::U16 => {
            bits.to_vec::<u16>().expect("u16").iter().flat_map(|x| x.to_le_bytes()).collect()
        }
        BitNetDType::U32 => {
            bits.to_vec::<u32>().expect("u32").iter().flat_map(|x| x.to_le_bytes()).collect()
        }
        _ => bits.to_vec::<u64>().expect("u64").iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn assert_is(tensor: &BitNetTensor, entry: &Value) {
    let name = text(entry, "name");
    assert_eq!(tensor.dtype().name(), text(entry, "dtype"), "{name}");
    let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone()).expect("sizes");
    assert_eq!(**tensor.shape(), *shape, "{name}");
    assert_eq!(elements(tensor), bytes(entry, "elements"), "{name}");
}

#[test]
fn npy_files_of_numpy_are_read_and_mapped() {
    let folder = TempDir::new().expect("a folder");
    for entry in files("npy") {
        let path = put(&folder, &entry);
        assert_is(
            &BitNetTensor::load_npy(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", text(&entry, "name"))),
            &entry,
        );
        assert_is(
            &BitNetTensor::map_npy(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", text(&entry, "name"))),
            &entry,
        );
    }
}

#[test]
fn fortran_order_is_a_view() {
    let folder = TempDir::new().expect("a folder");
    let entry = files("npy").into_iter().find(|file| file["name"] == "f32 fortran").expect("kept");
    let tensor = BitNetTensor::load_npy(put(&folder, &entry)).expect("readable");
    assert_eq!(tensor.layout().strides(), [1, 2, 6]);
}

#[test]
fn npy_files_are_those_of_numpy_byte_by_byte() {
    let folder = TempDir::new().expect("a folder");
    let mut compared = 0;
    for entry in files("npy") {
        let name = text(&entry, "name");
        let ours = ["big-endian", "version 2", "version 3"];
        if ours.iter().any(|part| name.contains(part)) {
            continue; // never written
        }
        let tensor = BitNetTensor::load_npy(put(&folder, &entry)).expect(name);
        let path = folder.path().join("saved.npy");
        tensor.save_npy(&path).expect(name);
        // NumPy marks an array without elements, which is in both orders, as it was made.
        if name != "fortran without elements" {
            assert_eq!(fs::read(&path).expect("readable"), bytes(&entry, "file"), "{name}");
        }
        compared += 1;
    }
    assert!(compared > 50);
}

#[test]
fn npz_files_of_numpy_are_read_in_order() {
    let folder = TempDir::new().expect("a folder");
    for entry in files("npz") {
        let tensors = BitNetTensor::load_npz(put(&folder, &entry))
            .unwrap_or_else(|error| panic!("{}: {error}", text(&entry, "name")));
        let arrays = entry["arrays"].as_array().expect("a list");
        let names: Vec<&str> = arrays.iter().map(|array| text(array, "name")).collect();
        assert_eq!(tensors.names().collect::<Vec<_>>(), names);
        for array in arrays {
            assert_is(tensors.get(text(array, "name")).expect("by name"), array);
        }
        // And again after our own writer.
        for compressed in [false, true] {
            let path = folder.path().join("saved.npz");
            let named: Vec<(&str, &BitNetTensor)> =
                tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
            if compressed {
                BitNetTensor::save_npz_compressed(&path, &named).expect("written");
            } else {
                BitNetTensor::save_npz(&path, &named).expect("written");
            }
            let again = BitNetTensor::load_npz(&path).expect("readable");
            assert_eq!(again.names().collect::<Vec<_>>(), names);
            for array in arrays {
                assert_is(again.get(text(array, "name")).expect("by name"), array);
            }
        }
    }
}
