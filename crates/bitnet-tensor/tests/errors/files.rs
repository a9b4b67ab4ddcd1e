//! Files that cannot be read or written.

use std::fs;
use std::path::Path;

use bitnet_tensor::BitNetTensor;
use tempfile::TempDir;

use crate::support::{assert_error, f32s, ternary};

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn files_that_are_not_there() {
    let folder = folder();
    let path = folder.path().join("missing");
    let reason = "cannot read: No such file or directory (os error 2)";
    let shown = path.display();
    assert_error!(BitNetTensor::load_npy(&path), FileError, format!("load_npy: {shown}: {reason}"));
    assert_error!(BitNetTensor::map_npy(&path), FileError, format!("map_npy: {shown}: {reason}"));
    assert_error!(BitNetTensor::load_npz(&path), FileError, format!("load_npz: {shown}: {reason}"));
    assert_error!(
        BitNetTensor::load_safetensors(&path),
        FileError,
        format!("load_safetensors: {shown}: {reason}")
    );
    assert_error!(
        BitNetTensor::map_safetensors(&path),
        FileError,
        format!("map_safetensors: {shown}: {reason}")
    );
}

#[test]
fn files_of_something_else() {
    let folder = folder();
    let path = put(&folder, "text", b"hello");
    let shown = path.display();
    let reason = "not an .npy file: it does not begin with \"\\x93NUMPY\"";
    assert_error!(BitNetTensor::load_npy(&path), FileError, format!("load_npy: {shown}: {reason}"));
    assert_error!(BitNetTensor::map_npy(&path), FileError, format!("map_npy: {shown}: {reason}"));
    assert_error!(
        BitNetTensor::load_safetensors(&path),
        FileError,
        format!(
            "load_safetensors: {shown}: not a safetensors file: 5 bytes, the length of the header \
             alone takes 8"
        )
    );
    let error = BitNetTensor::load_npz(&path).expect_err("no archive").to_string();
    assert!(error.starts_with(&format!("load_npz: {shown}: npz: invalid Zip archive")), "{error}");
}

#[test]
fn truncated_files_and_bad_elements() {
    let folder = folder();
    let path = folder.path().join("x.npy");
    f32s(&[2, 3]).save_npy(&path).expect("written");
    let whole = fs::read(&path).expect("readable");
    let path = put(&folder, "x.npy", &whole[..whole.len() - 1]);
    let reason = "truncated: [2, 3] of F32 needs 24 bytes, 23 follow the header";
    let shown = path.display();
    assert_error!(BitNetTensor::load_npy(&path), FileError, format!("load_npy: {shown}: {reason}"));
    assert_error!(BitNetTensor::map_npy(&path), FileError, format!("map_npy: {shown}: {reason}"));

    BitNetTensor::scalar(true).and_then(|x| x.save_npy(&path)).expect("written");
    let mut bytes = fs::read(&path).expect("readable");
    *bytes.last_mut().expect("an element") = 2;
    let path = put(&folder, "x.npy", &bytes);
    assert_error!(
        BitNetTensor::load_npy(&path),
        FileError,
        format!("load_npy: {shown}: a bool is neither 0 nor 1")
    );
    let mapped = BitNetTensor::map_npy(&path).expect("not read yet");
    assert!(mapped.to_vec::<bool>().is_err());
}

#[test]
fn packed_weights_have_no_place_in_files() {
    let folder = folder();
    let path = folder.path().join("w");
    let reason = "the format has no packed elements: to_dtype(F32) first, or save the parts of \
                  packed_parts()";
    let w = ternary();
    assert_error!(
        w.save_npy(&path),
        UnsupportedOperation,
        format!("save_npy(ternary[4, 8]): {reason}")
    );
    assert_error!(
        BitNetTensor::save_npz(&path, &[("x", &f32s(&[2])), ("w", &w)]),
        UnsupportedOperation,
        format!("save_npz(ternary[4, 8]): {reason}")
    );
    assert_error!(
        BitNetTensor::save_safetensors(&path, &[("w", &w)], &[]),
        UnsupportedOperation,
        format!("save_safetensors(ternary[4, 8]): {reason}")
    );
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn names_that_a_file_cannot_have() {
    let folder = folder();
    let (path, x) = (folder.path().join("x"), f32s(&[2]));
    let shown = path.display();
    assert_error!(
        BitNetTensor::save_npz(&path, &[("a", &x), ("a", &x)]),
        FileError,
        format!("save_npz: {shown}: tensor a: the name occurs twice")
    );
    assert_error!(
        BitNetTensor::save_npz_compressed(&path, &[("", &x)]),
        FileError,
        format!("save_npz_compressed: {shown}: tensor \"\": an array needs a name")
    );
    assert_error!(
        BitNetTensor::save_safetensors(&path, &[("a", &x), ("a", &x)], &[]),
        FileError,
        format!("save_safetensors: {shown}: tensor a: the name occurs twice")
    );
    assert_error!(
        BitNetTensor::save_safetensors(&path, &[("__metadata__", &x)], &[]),
        FileError,
        format!("save_safetensors: {shown}: tensor __metadata__: the name is reserved")
    );
    assert_error!(
        BitNetTensor::save_safetensors(&path, &[("a", &x)], &[("k", "1"), ("k", "2")]),
        FileError,
        format!("save_safetensors: {shown}: the key k of the metadata occurs twice")
    );
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0, "nothing half-written");
}

#[test]
fn archives_beyond_the_limit() {
    let folder = folder();
    let path = folder.path().join("x.npz");
    BitNetTensor::save_npz_compressed(&path, &[("x", &f32s(&[1000]))]).expect("written");
    assert_error!(
        BitNetTensor::load_npz_within(&path, 4000),
        FileError,
        format!(
            "load_npz_within: {}: tensor x: the deflated arrays up to this one declare 4128 bytes, \
             the limit is 4000",
            path.display()
        )
    );
}

#[test]
fn places_that_cannot_be_written() {
    let folder = folder();
    let x = f32s(&[2]);
    let path = folder.path().join("missing").join("x.npy");
    assert_error!(
        x.save_npy(&path),
        FileError,
        format!(
            "save_npy: {}: cannot write: No such file or directory (os error 2)",
            path.display()
        )
    );
    assert_error!(
        x.save_npy(Path::new("/")),
        FileError,
        "save_npy: /: cannot write: the path names no file"
    );
    let taken = folder.path().join("folder");
    fs::create_dir(&taken).expect("made");
    let error = x.save_npy(&taken).expect_err("a folder is there").to_string();
    assert!(error.starts_with(&format!("save_npy: {}: cannot write: ", taken.display())));
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing half-written");
}
