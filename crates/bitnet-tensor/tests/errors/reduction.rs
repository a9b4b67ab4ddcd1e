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

#[test]
fn spreads_norms_and_quantiles() {
    let x = f32s(&[2, 3]);
    let empty = f32s(&[2, 0]);
    assert_error!(
        zeros(&[2], I32).var(&[], 1, false),
        DTypeMismatch,
        "var(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(x.std(&[3], 0, true), ShapeMismatch, "std(f32[2, 3]): there is no axis 3");
    assert_error!(
        x.norm(f64::NAN, &[], false),
        ComputationError,
        "norm(f32[2, 3]): there is no norm of power NaN"
    );
    assert_error!(
        empty.norm(f64::NEG_INFINITY, &[1], false),
        ComputationError,
        "norm(f32[2, 0]): no elements: there is no smallest"
    );
    assert_error!(
        zeros(&[2], Bool).logsumexp(&[0], false),
        DTypeMismatch,
        "logsumexp(bool[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        empty.median(&[1], false),
        ComputationError,
        "median(f32[2, 0]): no elements: there is no median"
    );
    assert_error!(
        zeros(&[2], I32).median(&[], false),
        DTypeMismatch,
        "median(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        x.quantile(1.5, &[0], false),
        ComputationError,
        "quantile(f32[2, 3]): 1.5 is outside of 0 to 1"
    );
    assert_error!(
        x.quantile(f64::NAN, &[0], false),
        ComputationError,
        "quantile(f32[2, 3]): NaN is outside of 0 to 1"
    );
}

#[test]
fn orders_and_searches() {
    let x = f32s(&[2, 3]);
    assert_error!(x.cumsum(2), ShapeMismatch, "cumsum(f32[2, 3]): there is no axis 2");
    assert_error!(x.cummax(-3), ShapeMismatch, "cummax(f32[2, 3]): there is no axis -3");
    assert_error!(x.diff(1, 5), ShapeMismatch, "diff(f32[2, 3]): there is no axis 5");
    assert_error!(f32s(&[]).cumprod(0), ShapeMismatch, "cumprod(f32[]): there is no axis 0");
    assert_error!(x.sort(2, false), ShapeMismatch, "sort(f32[2, 3]): there is no axis 2");
    assert_error!(
        f32s(&[]).argsort(-1, true),
        ShapeMismatch,
        "argsort(f32[]): there is no axis -1"
    );
    assert_error!(
        x.topk(3, 0, true),
        ShapeMismatch,
        "topk(f32[2, 3]): the axis has 2 elements, not 3"
    );
    assert_error!(x.kthvalue(0, 0, true), ShapeMismatch, "kthvalue(f32[2, 3]): k counts from 1");
    assert_error!(x.unique(2), ShapeMismatch, "unique(f32[2, 3]): there is no axis 2");
    assert_error!(
        f32s(&[]).searchsorted(&x, false),
        ShapeMismatch,
        "searchsorted(f32[], f32[2, 3]): takes [n] and any shape, or [.., n] and [.., m] with the same leading axes"
    );
    assert_error!(
        x.searchsorted(&f32s(&[3, 3]), true),
        ShapeMismatch,
        "searchsorted(f32[2, 3], f32[3, 3]): takes [n] and any shape, or [.., n] and [.., m] with the same leading axes"
    );
    assert_error!(
        x.searchsorted(&zeros(&[2, 3], I32), true),
        DTypeMismatch,
        "searchsorted(f32[2, 3], i32[2, 3]): f32 and i32 have no common type: cast with to_dtype first"
    );
    assert_error!(
        ternary().sort(0, false),
        UnsupportedOperation,
        "sort(ternary[4, 8]): permute(ternary[4, 8]): a packed weight has no views"
    );
}

#[test]
fn counts() {
    assert_error!(
        f32s(&[2]).bincount(0),
        DTypeMismatch,
        "bincount(f32[2]): takes integers: cast with to_dtype first"
    );
    let negative = bitnet_tensor::BitNetTensor::from_vec(vec![1i32, -1], [2]).expect("memory");
    assert_error!(
        negative.bincount(0),
        ComputationError,
        "bincount(i32[2]): an element is negative"
    );
    let huge = bitnet_tensor::BitNetTensor::from_vec(vec![3, i64::MAX], [2]).expect("memory");
    assert_error!(
        huge.bincount(0),
        InvalidTensor,
        "bincount(i64[2]): i64[9223372036854775808] exceeds the address space"
    );
    let x = f32s(&[2]);
    assert_error!(x.histogram(0, None), ComputationError, "histogram(f32[2]): there is no bin");
    assert_error!(
        x.histogram(2, Some((1.0, 0.0))),
        ComputationError,
        "histogram(f32[2]): no range from 1 to 0"
    );
    assert_error!(
        zeros(&[2], Bool).histogram(2, None),
        DTypeMismatch,
        "histogram(bool[2]): takes numbers: cast with to_dtype first"
    );
}
