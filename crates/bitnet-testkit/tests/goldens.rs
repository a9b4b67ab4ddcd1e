//! The reference against numbers that NumPy and the evaluator of the ONNX standard made (see
//! `scripts/goldens.py`). All other backends are compared with the reference.

use bitnet_tensor::ops::RopeMode;
use bitnet_tensor::reference::ReferenceBackend;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result, TernaryLayout};
use bitnet_testkit::Tolerance;
use bitnet_testkit::compare::compare;
use bitnet_testkit::conformance::register_reference;
use serde_json::Value;

/// Floats of the files were computed in `f64` and rounded once, as the reference does: the last
/// unit may differ where the two exponentials do.
const ROUNDED: Tolerance = Tolerance::ulps(1.0);
/// Sums of `f64` numbers that cancel differ in the order of addition.
const SUMMED: Tolerance = Tolerance { ulps: 1.0, relative: 0.0, absolute: 1e-9 };

fn family(text: &str) {
    register_reference();
    let Value::Array(cases) = serde_json::from_str(text).expect("valid JSON") else {
        panic!("not a list")
    };
    assert!(!cases.is_empty());
    for (n, case) in cases.iter().enumerate() {
        let op = case["op"].as_str().expect("a name");
        let tensors = |key: &str| -> Vec<BitNetTensor> {
            case[key].as_array().expect("a list").iter().map(tensor).collect()
        };
        let inputs: Vec<BitNetTensor> = tensors("inputs")
            .iter()
            .map(|x| x.to_device(ReferenceBackend::DEVICE).expect("moved"))
            .collect();
        let results =
            evaluate(op, case, &inputs).unwrap_or_else(|error| panic!("case {n}, {op}: {error}"));
        let expected = tensors("outputs");
        assert_eq!(results.len(), expected.len());
        for (got, want) in results.iter().zip(&expected) {
            let tolerance = match op {
                "neg" | "abs" | "square" | "sqrt" | "add" | "sub" | "mul" | "div" | "to_dtype" => {
                    Tolerance::EXACT
                }
                "sum" | "mean" | "matmul" | "linear" | "attention" | "rope" => SUMMED,
                _ => ROUNDED,
            };
            if let Err(difference) = compare(got, want, tolerance) {
                panic!("case {n}, {op} of {inputs:?}: {difference}");
            }
        }
    }
}

fn tensor(value: &Value) -> BitNetTensor {
    let sizes = value["shape"].as_array().expect("a shape");
    let shape: Vec<usize> =
        sizes.iter().map(|size| size.as_u64().expect("a size") as usize).collect();
    let values = value["values"].as_array().expect("values");
    let float = |x: &Value| match x.as_str() {
        None => x.as_f64().expect("a number"),
        Some(text) => text.parse().expect("a number, nan, inf or -inf"),
    };
    let integer = |x: &Value| x.as_i64().expect("an integer");
    let dtype = value["dtype"].as_str().expect("a type");
    macro_rules! of {
        ($convert:expr) => {
            BitNetTensor::from_vec(values.iter().map($convert).collect(), shape)
        };
    }
    let tensor = match dtype {
        "f32" => of!(|x| float(x) as f32),
        "f64" => of!(float),
        "f16" => of!(|x| half::f16::from_f32(float(x) as f32)), // every f16 is an f32
        "bool" => of!(|x| integer(x) != 0),
        "u8" => of!(|x| integer(x) as u8),
        "u16" => of!(|x| integer(x) as u16),
        "u32" => of!(|x| integer(x) as u32),
        "i8" => of!(|x| integer(x) as i8),
        "i16" => of!(|x| integer(x) as i16),
        "i32" => of!(|x| integer(x) as i32),
        other => panic!("unknown type {other}"),
    };
    tensor.expect("values that fill the shape")
}

fn dtype_of(name: &str) -> BitNetDType {
    use BitNetDType::{Bool, F16, F32, F64, I8, I32, U8, U16};
    let known = [Bool, F16, F32, F64, I8, I32, U8, U16];
    known.into_iter().find(|dtype| dtype.name() == name).expect("a known type")
}

fn evaluate(op: &str, case: &Value, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let list = |key: &str| -> Vec<isize> {
        case[key]
            .as_array()
            .expect("a list")
            .iter()
            .map(|n| n.as_i64().expect("an integer") as isize)
            .collect()
    };
    let sizes = |key: &str| -> Vec<usize> { list(key).into_iter().map(|n| n as usize).collect() };
    let integer = |key: &str| case[key].as_i64().expect("an integer") as isize;
    let float = |key: &str| case[key].as_f64().expect("a number") as f32;
    let flag = |key: &str| case[key].as_bool().expect("true or false");
    let one = match op {
        "neg" => x[0].neg(),
        "abs" => x[0].abs(),
        "square" => x[0].square(),
        "sqrt" => x[0].sqrt(),
        "rsqrt" => x[0].rsqrt(),
        "exp" => x[0].exp(),
        "relu" => x[0].relu(),
        "relu_squared" => x[0].relu_squared(),
        "silu" => x[0].silu(),
        "sigmoid" => x[0].sigmoid(),
        "tanh" => x[0].tanh(),
        "add" => x[0].add(&x[1]),
        "sub" => x[0].sub(&x[1]),
        "mul" => x[0].mul(&x[1]),
        "div" => x[0].div(&x[1]),
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        "to_dtype" => x[0].to_dtype(dtype_of(case["dtype"].as_str().expect("a type"))),
        "permute" => x[0].permute(&list("axes")),
        "slice" => x[0].slice(
            integer("axis"),
            integer("start") as usize,
            integer("length") as usize,
            integer("step"),
        ),
        "reshape" => x[0].reshape(sizes("shape")),
        "expand" => x[0].expand(sizes("shape")),
        "cat" => BitNetTensor::cat(&x.iter().collect::<Vec<_>>(), integer("axis")),
        "index_select" => x[0].index_select(&x[1]),
        "sum" => x[0].sum(&list("axes"), flag("keepdims")),
        "mean" => x[0].mean(&list("axes"), flag("keepdims")),
        "max" => x[0].max(&list("axes"), flag("keepdims")),
        "min" => x[0].min(&list("axes"), flag("keepdims")),
        "argmax" => x[0].argmax(),
        "softmax" => x[0].softmax(),
        "rms_norm" => x[0].rms_norm(&x[1], float("eps")),
        "matmul" => x[0].matmul(&x[1]),
        "linear" => x[0].linear(&x[1]),
        "rope" => {
            let mode =
                if flag("adjacent") { RopeMode::AdjacentPairs } else { RopeMode::RotateHalf };
            x[0].rope(&x[1], &x[2], &x[3], mode)
        }
        "attention" => x[0].attention(&x[1], &x[2], &x[3], float("scale")),
        "ternary_linear" => {
            let weight = x[1].ternarize()?;
            assert_eq!(
                weight.ternary_parts().map(|(layout, ..)| layout),
                Some(TernaryLayout::Bytes)
            );
            x[0].quantize_activation()?.linear(&weight)
        }
        "linear_int8" => x[0].quantize_activation()?.linear_int8(&x[1], &x[2]),
        "quantize_activation" => {
            let quantized = x[0].quantize_activation()?;
            let codes = quantized.codes().narrow(-1, 0, quantized.features())?;
            return Ok(vec![codes, quantized.scales().clone(), quantized.sums().clone()]);
        }
        "ternarize" => {
            let weight = x[0].ternarize()?;
            let (_, codes, scales) = weight.ternary_parts().expect("a ternary weight");
            return Ok(vec![codes.clone(), scales.clone()]);
        }
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

#[test]
fn elementwise() {
    family(include_str!("../goldens/elementwise.json"));
}

#[test]
fn movement() {
    family(include_str!("../goldens/movement.json"));
}

#[test]
fn rows() {
    family(include_str!("../goldens/rows.json"));
}

#[test]
fn products() {
    family(include_str!("../goldens/products.json"));
}

#[test]
fn transformer() {
    family(include_str!("../goldens/transformer.json"));
}

/// The reference is what is compared here, not the CPU: results lie on its device.
#[test]
fn results_are_the_references() -> Result<()> {
    register_reference();
    let x = BitNetTensor::scalar(1.0f32)?.to_device(ReferenceBackend::DEVICE)?;
    assert_eq!(x.exp()?.device(), ReferenceBackend::DEVICE);
    assert_ne!(ReferenceBackend::DEVICE, Device::CPU);
    Ok(())
}
