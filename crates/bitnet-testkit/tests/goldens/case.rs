//! A case of the golden files: an operation, its attributes, operands and results.

use bitnet_tensor::{BitNetDType, BitNetTensor};
use half::{bf16, f16};
use serde_json::Value;

/// An entry of a golden file. Attributes are read by name; a missing one is a broken file.
pub(crate) struct Case<'a>(pub(crate) &'a Value);

impl Case<'_> {
    pub(crate) fn op(&self) -> &str {
        self.text("op")
    }

    /// The operands (`inputs`) or the results (`outputs`).
    pub(crate) fn tensors(&self, key: &str) -> Vec<BitNetTensor> {
        self.array(key).iter().map(tensor).collect()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        !self.0[key].is_null()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("{key} is a text in {}", self.0["op"]))
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<&str> {
        self.array(key).iter().map(|text| text.as_str().expect("a text")).collect()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<isize> {
        self.array(key).iter().map(|n| n.as_i64().expect("an integer") as isize).collect()
    }

    pub(crate) fn sizes(&self, key: &str) -> Vec<usize> {
        self.list(key).into_iter().map(|n| n as usize).collect()
    }

    pub(crate) fn integer(&self, key: &str) -> isize {
        self.0[key].as_i64().unwrap_or_else(|| panic!("{key} is an integer in {}", self.0["op"]))
            as isize
    }

    pub(crate) fn float(&self, key: &str) -> f64 {
        float(&self.0[key])
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0[key].as_bool().unwrap_or_else(|| panic!("{key} is a flag in {}", self.0["op"]))
    }

    pub(crate) fn dtype(&self, key: &str) -> BitNetDType {
        dtype(self.text(key))
    }

    fn array(&self, key: &str) -> &[Value] {
        self.0[key].as_array().unwrap_or_else(|| panic!("{key} is a list in {}", self.0["op"]))
    }
}

/// Floats are numbers or, where JSON has none and where a reader may lose a bit, texts.
fn float(value: &Value) -> f64 {
    match value.as_str() {
        None => value.as_f64().expect("a number"),
        Some(text) => text.parse().expect("a number, nan, inf or -inf"),
    }
}

fn dtype(name: &str) -> BitNetDType {
    use BitNetDType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    let known = [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64];
    known.into_iter().find(|dtype| dtype.name() == name).unwrap_or_else(|| panic!("type {name}"))
}

fn tensor(value: &Value) -> BitNetTensor {
    let case = Case(value);
    let (shape, values) = (case.sizes("shape"), case.array("values"));
    let integer = |x: &Value| x.as_i64().expect("an integer");
    macro_rules! of {
        ($convert:expr) => {
            BitNetTensor::from_vec(values.iter().map($convert).collect(), shape)
        };
    }
    let tensor = match case.dtype("dtype") {
        BitNetDType::F64 => of!(float),
        BitNetDType::F32 => of!(|x| float(x) as f32),
        // Every number of a half type is an f32.
        BitNetDType::F16 => of!(|x| f16::from_f32(float(x) as f32)),
        BitNetDType::BF16 => of!(|x| bf16::from_f32(float(x) as f32)),
        BitNetDType::Bool => of!(|x| integer(x) != 0),
        BitNetDType::U8 => of!(|x| integer(x) as u8),
        BitNetDType::U16 => of!(|x| integer(x) as u16),
        BitNetDType::U32 => of!(|x| integer(x) as u32),
        BitNetDType::U64 => of!(|x| x.as_u64().expect("an integer")),
        BitNetDType::I8 => of!(|x| integer(x) as i8),
        BitNetDType::I16 => of!(|x| integer(x) as i16),
        BitNetDType::I32 => of!(|x| integer(x) as i32),
        BitNetDType::I64 => of!(integer),
        other => panic!("{other} tensors are not in the files"),
    };
    tensor.expect("values that fill the shape")
}
