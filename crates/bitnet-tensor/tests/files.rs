//! Tensors in files: safetensors against the official crate, what is written of views, and that a
//! file is either the old one or the whole new one. NumPy's formats are compared with NumPy's files
//! in the golden tests.

use std::collections::HashMap;
use std::fs;

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

const DTYPES: [BitNetDType; 13] = {
    use BitNetDType::*;
    [Bool, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64]
};

#[test]
fn the_official_crate_reads_what_is_written() -> Result<()> {
    let folder = folder();
    let path = folder.path().join("x.safetensors");
    let base = BitNetTensor::arange(0..6i64)?.reshape([2, 3])?;
    let mut tensors = Vec::new();
    for dtype in DTYPES {
        tensors.push((dtype.name().to_owned(), base.to_dtype(dtype)?));
    }
    tensors.push(("turned".to_owned(), base.transpose(0, 1)?));
    tensors.push(("empty".to_owned(), BitNetTensor::zeros([0, 2], BitNetDType::F16)?));
    tensors.push(("scalar".to_owned(), BitNetTensor::scalar(1.5f32)?));
    let named: Vec<(&str, &BitNetTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    BitNetTensor::save_safetensors(&path, &named, &[("format", "pt")])?;

    let bytes = fs::read(&path).expect("readable");
    let official = SafeTensors::deserialize(&bytes).expect("valid");
    assert_eq!(official.len(), tensors.len());
    let i64s =
        |values: &[i64]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let turned = official.tensor("turned").expect("written");
    assert_eq!((turned.dtype(), turned.shape()), (Dtype::I64, &[3, 2][..]));
    assert_eq!(turned.data(), i64s(&[0, 3, 1, 4, 2, 5]));
    for dtype in DTYPES {
        let tensor = official.tensor(dtype.name()).expect("written");
        assert_eq!(tensor.dtype().to_string().to_lowercase(), dtype.name());
        assert_eq!(tensor.shape(), [2, 3]);
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("valid");
    let metadata = metadata.metadata().clone().expect("written");
    assert_eq!(metadata, HashMap::from([("format".to_owned(), "pt".to_owned())]));

    // And both of our readers.
    for loaded in [BitNetTensor::load_safetensors(&path)?, BitNetTensor::map_safetensors(&path)?] {
        assert_eq!(loaded.len(), tensors.len());
        assert_eq!(loaded.metadata()["format"], "pt");
        for (name, tensor) in &tensors {
            let again = loaded.get(name).expect("written");
            assert_eq!((again.dtype(), again.shape()), (tensor.dtype(), tensor.shape()));
            let (a, b) = (again.to_dtype(BitNetDType::F64)?, tensor.to_dtype(BitNetDType::F64)?);
            assert_eq!(a.to_vec::<f64>()?, b.to_vec::<f64>()?, "{name}");
        }
    }
    Ok(())
}

#[test]
fn what_the_official_crate_writes_is_read() -> Result<()> {
    let folder = folder();
    let path = folder.path().join("x.safetensors");
    let data: Vec<u8> = [1.0f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let views = [
        ("b", TensorView::new(Dtype::F32, vec![2, 1], &data).expect("fits")),
        ("a", TensorView::new(Dtype::U8, vec![3], &[7, 8, 9]).expect("fits")),
    ];
    let file = serialize(views, None).expect("serializes");
    fs::write(&path, file).expect("written");
    let loaded = BitNetTensor::load_safetensors(&path)?;
    assert_eq!(loaded.names().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(loaded.get("b").expect("read").to_vec::<f32>()?, [1.0, -2.0]);
    assert_eq!(loaded.get("a").expect("read").to_vec::<u8>()?, [7, 8, 9]);
    assert!(loaded.metadata().is_empty());
    Ok(())
}

#[test]
fn loaded_tensors_are_their_own_and_mapped_ones_the_files() -> Result<()> {
    let folder = folder();
    let path = folder.path().join("x.npy");
    BitNetTensor::arange(0..4i32)?.save_npy(&path)?;
    let mut loaded = BitNetTensor::load_npy(&path)?;
    loaded.try_mut::<i32>()?[0] = 9;
    let mut mapped = BitNetTensor::map_npy(&path)?;
    assert!(mapped.try_mut::<i32>().is_err(), "a mapped file is read-only");
    assert_eq!(mapped.to_vec::<i32>()?, [0, 1, 2, 3]);
    Ok(())
}

#[test]
fn a_file_that_is_replaced_leaves_mapped_tensors_alone() -> Result<()> {
    let folder = folder();
    let path = folder.path().join("x.npy");
    BitNetTensor::arange(0..1000i64)?.save_npy(&path)?;
    let mapped = BitNetTensor::map_npy(&path)?;
    mapped.add(1)?.save_npy(&path)?; // over itself
    assert_eq!(mapped.narrow(0, 0, 2)?.to_vec::<i64>()?, [0, 1]);
    assert_eq!(BitNetTensor::load_npy(&path)?.narrow(0, 0, 2)?.to_vec::<i64>()?, [1, 2]);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing is left over");
    Ok(())
}

#[test]
fn views_are_saved_as_what_they_show() -> Result<()> {
    let folder = folder();
    let path = folder.path().join("x.npy");
    let x = BitNetTensor::arange(0..24i16)?.reshape([2, 3, 4])?;
    let views = [
        x.narrow(1, 1, 2)?,
        x.flip(&[0, 2])?,
        x.permute(&[2, 1, 0])?,
        x.permute(&[1, 0, 2])?,
        x.narrow(2, 1, 1)?.expand([2, 3, 5])?,
        x.narrow(0, 1, 0)?,
    ];
    for view in views {
        view.save_npy(&path)?;
        for again in [BitNetTensor::load_npy(&path)?, BitNetTensor::map_npy(&path)?] {
            assert_eq!(again.shape(), view.shape());
            assert_eq!(again.to_vec::<i16>()?, view.to_vec::<i16>()?);
        }
    }
    Ok(())
}
