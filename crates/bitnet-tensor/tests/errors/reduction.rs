//! Misuse of reductions, orders and searches.

use bitnet_tensor::BitNetDType::{Bool, I32};

use crate::support::{assert_error, f32s, ternary, zeros};

#[test]
fn axes_that_do_not_exist_or_are_named_twice() {
    let x = f32s(&[2, 3]);
    assert_error!(x.sum(&[2], false), ShapeMismatch, "sum(f32[2, 3]): there is no axis 2");
    assert_error!(x.max(&[-3], false), ShapeMismatch, "max(f32[2, 3]): there is no axis -3");
    assert_error!(
        x.mean(&[isize::MIN], false),
        ShapeMismatch,
        "mean(f32[2, 3]): there is no axis -9223372036854775808"
    );
    assert_error!(
        x.prod(&[0, -2], false),
        ShapeMismatch,
        "prod(f32[2, 3]): axis -2 is named twice"
    );
    assert_error!(f32s(&[]).any(&[0], true), ShapeMismatch, "any(f32[]): there is no axis 0");
    assert_error!(x.argmax(2, false), ShapeMismatch, "argmax(f32[2, 3]): there is no axis 2");
    assert_error!(f32s(&[]).argmin(-1, true), ShapeMismatch, "argmin(f32[]): there is no axis -1");
}

#[test]
fn nothing_has_no_extreme() {
    let x = f32s(&[2, 0]);
    assert_error!(
        x.max(&[1], false),
        ComputationError,
        "max(f32[2, 0]): no elements: there is no largest"
    );
    assert_error!(
        x.min(&[], true),
        ComputationError,
        "min(f32[2, 0]): no elements: there is no smallest"
    );
    assert_error!(
        x.argmax(1, false),
        ComputationError,
        "argmax(f32[2, 0]): no elements: there is no largest"
    );
    assert_error!(
        x.argmin(None, false),
        ComputationError,
        "argmin(f32[2, 0]): no elements: there is no smallest"
    );
    assert!(x.max(&[0], false).is_ok(), "the result has no elements either");
    assert!(x.argmax(0, true).is_ok(), "the result has no elements either");
}

#[test]
fn types_that_have_no_meaning() {
    assert_error!(
        zeros(&[2], I32).mean(&[], false),
        DTypeMismatch,
        "mean(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        zeros(&[2], Bool).mean(&[0], true),
        DTypeMismatch,
        "mean(bool[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        ternary().sum(&[0], false),
        DTypeMismatch,
        "sum(ternary[4, 8]): takes numbers or bool"
    );
    assert_error!(
        ternary().argmax(0, false),
        DTypeMismatch,
        "argmax(ternary[4, 8]): takes numbers or bool"
    );
}
