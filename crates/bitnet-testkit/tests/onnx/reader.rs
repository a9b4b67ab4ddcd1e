//! Reading the cases that `scripts/onnx_cases.py` wrote.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitnet_tensor::{BitNetDType, BitNetTensor, ForeignBytes, Result};
use bitnet_testkit::Tolerance;
use serde_json::Value;

/// An operand, a result or an attribute.
pub(crate) enum Slot {
    /// Left out by the node.
    Omitted,
    /// Of a type that the library has not.
    Absent(String),
    Tensor(BitNetTensor),
}

/// A node with its operands and the results that it should have.
pub(crate) struct Case {
    pub(crate) name: String,
    /// With the domain before it unless that is the standard's own: `ai.onnx.ml.Binarizer`.
    pub(crate) operator: String,
    pub(crate) tolerance: Tolerance,
    pub(crate) outputs: Vec<Slot>,
    inputs: Vec<Slot>,
    attributes: Value,
    tensors: Tensors,
}

impl Case {
    /// The name of a type of this case that the library has not.
    pub(crate) fn absent(&self) -> Option<&str> {
        self.inputs.iter().chain(&self.outputs).find_map(|slot| match slot {
            Slot::Absent(kind) => Some(&**kind),
            _ => None,
        })
    }

    /// Operand `n`, which the operator always has.
    pub(crate) fn x(&self, n: usize) -> &BitNetTensor {
        self.given(n).unwrap_or_else(|| panic!("{} has operand {n}", self.name))
    }

    /// Operand `n`, unless it is left out.
    pub(crate) fn given(&self, n: usize) -> Option<&BitNetTensor> {
        match self.inputs.get(n) {
            Some(Slot::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// All operands.
    pub(crate) fn all(&self) -> Vec<&BitNetTensor> {
        (0..self.inputs.len()).filter_map(|n| self.given(n)).collect()
    }

    /// The numbers of operand `n`, which says how rather than what: axes, sizes, counts.
    pub(crate) fn numbers(&self, n: usize) -> Result<Option<Vec<isize>>> {
        self.given(n).map(numbers).transpose()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.attributes[name].is_null()
    }

    pub(crate) fn integer(&self, name: &str, default: isize) -> isize {
        self.attributes[name].as_i64().map_or(default, |value| value as isize)
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        self.integer(name, isize::from(default)) != 0
    }

    pub(crate) fn float(&self, name: &str, default: f64) -> f64 {
        match &self.attributes[name] {
            Value::String(text) => text.parse().expect("nan, inf or -inf"),
            value => value.as_f64().unwrap_or(default),
        }
    }

    pub(crate) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.attributes[name].as_str().unwrap_or(default)
    }

    pub(crate) fn integers(&self, name: &str) -> Option<Vec<isize>> {
        let list = self.attributes[name].as_array()?;
        list.iter().map(|value| value.as_i64().map(|value| value as isize)).collect()
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<BitNetTensor> {
        match self.tensors.slot(&self.attributes[name]) {
            Slot::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The type that an attribute names by the standard's number.
    pub(crate) fn dtype(&self, name: &str) -> Option<BitNetDType> {
        Some(match self.integer(name, 0) {
            1 => BitNetDType::F32,
            2 => BitNetDType::U8,
            3 => BitNetDType::I8,
            4 => BitNetDType::U16,
            5 => BitNetDType::I16,
            6 => BitNetDType::I32,
            7 => BitNetDType::I64,
            9 => BitNetDType::Bool,
            10 => BitNetDType::F16,
            11 => BitNetDType::F64,
            12 => BitNetDType::U32,
            13 => BitNetDType::U64,
            16 => BitNetDType::BF16,
            _ => return None,
        })
    }
}

/// The elements of a tensor of integers.
pub(crate) fn numbers(tensor: &BitNetTensor) -> Result<Vec<isize>> {
    let wide = tensor.to_dtype(BitNetDType::I64)?.to_vec::<i64>()?;
    Ok(wide.into_iter().map(|number| number as isize).collect())
}

/// The bytes of all tensors.
#[derive(Clone)]
struct Tensors(ForeignBytes);

impl Tensors {
    fn slot(&self, entry: &Value) -> Slot {
        if let Some(kind) = entry["absent"].as_str() {
            return Slot::Absent(kind.into());
        }
        let Some(name) = entry["dtype"].as_str() else { return Slot::Omitted };
        let dtype = dtype(name);
        let sizes = entry["shape"].as_array().expect("a shape").iter();
        let shape: Vec<usize> = sizes.map(|size| size.as_u64().expect("a size") as usize).collect();
        let start = entry["offset"].as_u64().expect("an offset") as usize;
        let element = dtype.size_in_bytes().expect("a dense type");
        let length = shape.iter().product::<usize>() * element;
        let bytes = start..start + length;
        let tensor = BitNetTensor::from_foreign(self.0.clone(), bytes, dtype, shape);
        Slot::Tensor(tensor.expect("a tensor within the file"))
    }

    fn slots(&self, entries: &Value) -> Vec<Slot> {
        entries.as_array().expect("a list").iter().map(|entry| self.slot(entry)).collect()
    }
}

fn dtype(name: &str) -> BitNetDType {
    use BitNetDType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    let known = [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64];
    known.into_iter().find(|dtype| dtype.name() == name).unwrap_or_else(|| panic!("type {name}"))
}

/// The folder of the script's files: `target/onnx-cases` of the project.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnx-cases")
}

/// The cases; `None` when they have not been made.
pub(crate) fn cases() -> Option<Vec<Case>> {
    let index = std::fs::read(folder().join("cases.json")).ok()?;
    let bytes = std::fs::read(folder().join("tensors.bin")).ok()?;
    let index: Value = serde_json::from_slice(&index).expect("valid JSON");
    let tensors = Tensors(Arc::new(bytes));
    Some(index["cases"].as_array().expect("a list").iter().map(|e| case(e, &tensors)).collect())
}

fn case(entry: &Value, tensors: &Tensors) -> Case {
    let text = |key: &str| entry[key].as_str().expect("a text").to_string();
    let float = |key: &str| entry[key].as_f64().expect("a number");
    let domain = text("domain");
    Case {
        name: text("name"),
        operator: if domain.is_empty() { text("op") } else { format!("{domain}.{}", text("op")) },
        tolerance: Tolerance { ulps: 0.0, relative: float("rtol"), absolute: float("atol") },
        inputs: tensors.slots(&entry["inputs"]),
        outputs: tensors.slots(&entry["outputs"]),
        attributes: entry["attributes"].clone(),
        tensors: tensors.clone(),
    }
}
