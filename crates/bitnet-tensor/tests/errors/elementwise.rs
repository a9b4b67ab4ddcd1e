//! Functions of one and two elements that are misused.

use bitnet_tensor::BitNetDType::{Bool, F32, I8, I32, U8};
use bitnet_tensor::BitNetTensor;

use crate::support::{assert_error, f32s, zeros};

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
