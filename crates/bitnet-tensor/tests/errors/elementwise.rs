//! Functions of one and two elements that are misused.

use bitnet_tensor::BitNetDType::{
    self, BF16, Bool, F16, F32, F64, I8, I16, I32, I64, Ternary, U8, U16, U32, U64,
};
use bitnet_tensor::BitNetTensor;
use bitnet_tensor::ops::{Op, Unary};
use bitnet_testkit::conformance::{BINARY, COMPARISONS, UNARY};

use crate::support::{assert_error, f32s, ternary, zeros};

fn integers(values: &[i32]) -> BitNetTensor {
    BitNetTensor::from_slice(values, [values.len()]).expect("memory")
}

#[test]
fn types_that_the_function_has_not() {
    let (x, flag, number) = (f32s(&[2]), zeros(&[2], Bool), zeros(&[2], I32));
    assert_error!(
        number.log(),
        DTypeMismatch,
        "log(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        flag.neg(),
        DTypeMismatch,
        "neg(bool[2]): takes numbers: cast with to_dtype first"
    );
    assert_error!(
        x.bitand(&x),
        DTypeMismatch,
        "bitand(f32[2], f32[2]): floats have no bits to combine"
    );
    assert_error!(
        number.hypot(&number),
        DTypeMismatch,
        "hypot(i32[2], i32[2]): takes floats: convert with to_dtype first"
    );
    assert_error!(
        flag.shl(&flag),
        UnsupportedOperation,
        "shl(bool[2], bool[2]): not for bool: convert with to_dtype first"
    );
    assert_error!(
        x.where_(&x, &x),
        DTypeMismatch,
        "where(f32[2], f32[2], f32[2]): the condition is bool: compare first"
    );
    assert_error!(
        flag.where_(&x, &number),
        DTypeMismatch,
        "where(f32[2], i32[2]): f32 and i32 have no common type: convert one with to_dtype"
    );
    assert_error!(
        x.bitnot(),
        DTypeMismatch,
        "bitnot(f32[2]): bitxor(f32[2], f32[]): floats have no bits to combine"
    );
}

#[test]
fn numbers_that_the_type_does_not_hold() {
    let small = zeros(&[2], U8);
    assert_error!(small.add(300), DTypeMismatch, "add(u8[2]): the number 300 is not of type u8");
    assert_error!(small.sub(-1), DTypeMismatch, "sub(u8[2]): the number -1 is not of type u8");
    assert_error!(small.lt(1.5), DTypeMismatch, "lt(u8[2]): the number 1.5 is not of type u8");
    assert_error!(
        f32s(&[2]).mul(true),
        DTypeMismatch,
        "mul(f32[2]): the number true is not of type f32"
    );
}

#[test]
fn integers_that_have_no_result() {
    let a = integers(&[1, 2, 3]);
    assert_error!(
        a.floor_div(&integers(&[1, 0, 1])),
        ComputationError,
        "floor_div(i32[3], i32[3]): division by zero: element 1 of the second operand"
    );
    assert_error!(
        a.rem(0),
        ComputationError,
        "rem(i32[3], i32[]): division by zero: element 0 of the second operand"
    );
    assert_error!(
        a.pow(-1),
        ComputationError,
        "pow(i32[3], i32[]): an integer has no negative power: element 0 of the second operand"
    );
    assert_error!(
        zeros(&[1], I8).shl(-1),
        ComputationError,
        "shl(i8[1], i8[]): a shift by a negative number: element 0 of the second operand"
    );
    let mut kept = a.copy().expect("memory");
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kept /= 0));
    assert!(failed.is_err());
    assert_eq!(kept.to_vec::<i32>(), a.to_vec::<i32>());
}

#[test]
fn masks_that_do_not_fit() {
    let x = f32s(&[2, 3]);
    assert_error!(
        x.masked_fill(&zeros(&[4], Bool), 0.0),
        BroadcastError,
        "masked_fill(f32[2, 3], bool[4], f32[]): expand(bool[4]): does not broadcast to [2, 3]"
    );
    assert_error!(
        x.masked_fill(&zeros(&[3], F32), 0.0),
        DTypeMismatch,
        "masked_fill(f32[2, 3], f32[3], f32[]): where(f32[2, 3], f32[2, 3], f32[2, 3]): the condition is bool: compare first"
    );
}

/// Every type that there is.
const ALL: [BitNetDType; 13] = [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64];

#[test]
fn every_function_of_two_elements_refuses_shapes_that_do_not_broadcast() {
    for (name, method) in BINARY.into_iter().chain(COMPARISONS) {
        let is_of_bits = ["bitand", "bitor", "bitxor", "shl", "shr"].contains(&name);
        let dtype = if is_of_bits { I32 } else { F32 };
        assert_error!(
            method(&zeros(&[4, 2], dtype), &zeros(&[3, 2], dtype)),
            BroadcastError,
            format!(
                "{name}({dtype}[4, 2], {dtype}[3, 2]): shapes do not broadcast: axis -2 has sizes 4 and 3"
            )
        );
    }
    let (flag, x, other) = (zeros(&[4], Bool), f32s(&[2]), f32s(&[3]));
    assert_error!(
        flag.where_(&x, &x),
        BroadcastError,
        "where(bool[4], f32[2], f32[2]): shapes do not broadcast: axis -1 has sizes 4 and 2"
    );
    assert_error!(
        x.logical_and(&other),
        BroadcastError,
        "logical_and(f32[2], f32[3]): bitand(bool[2], bool[3]): shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
    assert_error!(
        x.clamp(0.0, &other),
        BroadcastError,
        "clamp(f32[2], f32[], f32[3]): minimum(f32[2], f32[3]): shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
    assert_error!(
        x.mul_add(&other, 1.0),
        BroadcastError,
        "mul_add(f32[2], f32[3], f32[]): mul(f32[2], f32[3]): shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
    assert_error!(
        x.lerp(&other, 0.5),
        BroadcastError,
        "lerp(f32[2], f32[3], f32[]): sub(f32[3], f32[2]): shapes do not broadcast: axis -1 has sizes 3 and 2"
    );
    assert_error!(
        x.into_add(&other),
        BroadcastError,
        "add(f32[2], f32[3]): shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
}

#[test]
fn pairs_of_types_that_the_standard_gives_no_common_type() {
    for (a, b) in ALL.into_iter().flat_map(|a| ALL.map(|b| (a, b))) {
        if a.promote(b).is_some() {
            continue;
        }
        for (name, method) in [BINARY[0], COMPARISONS[0]] {
            assert_error!(
                method(&zeros(&[2], a), &zeros(&[2], b)),
                DTypeMismatch,
                format!(
                    "{name}({a}[2], {b}[2]): {a} and {b} have no common type: convert one with to_dtype"
                )
            );
        }
    }
}

#[test]
fn every_function_of_one_element_refuses_the_types_that_it_has_not() {
    for (kind, method, owned) in UNARY {
        let name = Op::from(Unary(kind)).name();
        let takes_integers = method(&zeros(&[1], I32)).is_ok();
        let takes = if takes_integers { "numbers" } else { "floats" };
        for dtype in [Bool, U8, I64] {
            if takes_integers && dtype != Bool {
                continue;
            }
            let message = format!("{name}({dtype}[2]): takes {takes}: cast with to_dtype first");
            assert_error!(method(&zeros(&[2], dtype)), DTypeMismatch, message);
            assert_error!(owned(zeros(&[2], dtype)), DTypeMismatch, message);
        }
        assert_error!(
            method(&ternary()),
            DTypeMismatch,
            format!("{name}(ternary[4, 8]): takes {takes}: cast with to_dtype first")
        );
    }
}

#[test]
fn every_function_of_two_elements_refuses_the_types_that_it_has_not() {
    for (name, method) in BINARY {
        let of = |dtype| {
            method(
                &zeros(&[2], dtype),
                &BitNetTensor::full([2], 1u8).and_then(|x| x.to_dtype(dtype)).expect("memory"),
            )
        };
        match name {
            "div" => assert_error!(
                of(U8),
                DTypeMismatch,
                "div(u8[2], u8[2]): true division takes floats: convert with to_dtype first"
            ),
            "atan2" | "hypot" | "copysign" => assert_error!(
                of(I64),
                DTypeMismatch,
                format!("{name}(i64[2], i64[2]): takes floats: convert with to_dtype first")
            ),
            "bitand" | "bitor" | "bitxor" | "shl" | "shr" => {
                for dtype in [F16, BF16, F32, F64] {
                    assert_error!(
                        of(dtype),
                        DTypeMismatch,
                        format!("{name}({dtype}[2], {dtype}[2]): floats have no bits to combine")
                    );
                }
            }
            _ => assert!(of(F32).is_ok() && of(I32).is_ok()),
        }
        if matches!(name, "bitand" | "bitor" | "bitxor") {
            assert!(of(Bool).is_ok());
        } else {
            assert_error!(
                of(Bool),
                UnsupportedOperation,
                format!("{name}(bool[2], bool[2]): not for bool: convert with to_dtype first")
            );
        }
        let weight = ternary();
        assert_error!(
            method(&weight, &weight),
            UnsupportedOperation,
            format!(
                "{name}(ternary[4, 8], ternary[4, 8]): not for ternary: convert with to_dtype first"
            )
        );
    }
    let weight = ternary();
    for (name, method) in COMPARISONS {
        assert_error!(
            method(&weight, &weight),
            UnsupportedOperation,
            format!("{name}(ternary[4, 8], ternary[4, 8]): not for ternary: dequantize first")
        );
    }
}

#[test]
fn integers_that_have_no_result_in_every_signed_type() {
    for dtype in [I8, I16, I32, I64] {
        let (x, minus) = (
            zeros(&[2], dtype),
            BitNetTensor::try_from(vec![1i8, -1]).and_then(|x| x.to_dtype(dtype)).expect("memory"),
        );
        let operands = format!("({dtype}[2], {dtype}[2])");
        assert_error!(
            x.pow(&minus),
            ComputationError,
            format!(
                "pow{operands}: an integer has no negative power: element 1 of the second operand"
            )
        );
        assert_error!(
            x.shl(&minus),
            ComputationError,
            format!("shl{operands}: a shift by a negative number: element 1 of the second operand")
        );
        assert_error!(
            x.shr(&minus),
            ComputationError,
            format!("shr{operands}: a shift by a negative number: element 1 of the second operand")
        );
        for (name, method) in
            BINARY.into_iter().filter(|(name, _)| ["floor_div", "rem", "fmod"].contains(name))
        {
            assert_error!(
                method(&x, &x),
                ComputationError,
                format!("{name}{operands}: division by zero: element 0 of the second operand")
            );
        }
    }
    // In place the operand stays what it was.
    let mut x = integers(&[5, 6]);
    for other in [integers(&[1, 0]), integers(&[0, 1])] {
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| x %= &other));
        assert!(failed.is_err());
        assert_eq!(x.to_vec::<i32>(), Ok(vec![5, 6]));
    }
}

#[test]
fn numbers_beside_every_operation() {
    let small = zeros(&[2], I8);
    for (name, method) in [
        ("floor_div", small.floor_div(128)),
        ("pow", small.pow(0.5)),
        ("bitand", small.bitand(-129)),
        ("maximum", small.maximum(f64::NAN)),
        ("clamp", small.clamp(0, 1000)),
        ("masked_fill", small.masked_fill(&zeros(&[2], Bool), 200)),
        ("where", zeros(&[2], Bool).where_(&small, true)),
    ] {
        let error = method.expect_err(name);
        assert!(matches!(error, bitnet_tensor::TensorOpError::DTypeMismatch(_)), "{error}");
        let number = ["128", "0.5", "-129", "NaN", "1000", "200", "true"];
        let message =
            |number: &str| format!("{name}(i8[2]): the number {number} is not of type i8");
        assert!(number.iter().any(|number| error.to_string() == message(number)), "{error}");
    }
    assert_error!(
        f32s(&[2]).lerp(1.0, true),
        DTypeMismatch,
        "lerp(f32[2]): the number true is not of type f32"
    );
}

#[test]
fn conversions_without_meaning() {
    assert_error!(
        f32s(&[2]).to_dtype(Ternary),
        UnsupportedOperation,
        "to_dtype(f32[2]): ternary weights are made by `quantize` and `to_weight`"
    );
    assert_error!(
        ternary().to_dtype(F16),
        UnsupportedOperation,
        "to_dtype(ternary[4, 8]): a ternary weight is dequantized to f32"
    );
}
