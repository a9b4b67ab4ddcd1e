//! Views, arrangements, choices and writes that are misused.

use bitnet_tensor::BitNetDType::{Bool, F32, F64, I64};
use bitnet_tensor::BitNetTensor;
use bitnet_tensor::ops::{PadMode, ScatterKind};

use crate::support::{assert_error, f32s, ids, ternary, zeros};

fn places(values: &[i64], shape: &[usize]) -> BitNetTensor {
    BitNetTensor::from_slice(values, shape).expect("memory")
}

#[test]
fn axes_that_do_not_exist() {
    let x = f32s(&[2, 3]);
    assert_error!(x.movedim(0, 2), ShapeMismatch, "movedim(f32[2, 3]): there is no axis 2");
    assert_error!(x.movedim(-3, 0), ShapeMismatch, "movedim(f32[2, 3]): there is no axis -3");
    assert_error!(x.flip(&[2]), ShapeMismatch, "flip(f32[2, 3]): there is no axis 2");
    assert_error!(x.roll(&[1], &[2]), ShapeMismatch, "roll(f32[2, 3]): there is no axis 2");
    assert_error!(x.narrow(-3, 0, 1), ShapeMismatch, "slice(f32[2, 3]): there is no axis -3");
    assert_error!(x.split(&[2], 2), ShapeMismatch, "split(f32[2, 3]): there is no axis 2");
    assert_error!(x.chunk(2, 2), ShapeMismatch, "chunk(f32[2, 3]): no 2 parts of axis 2");
    assert_error!(x.chunk(0, 0), ShapeMismatch, "chunk(f32[2, 3]): no 0 parts of axis 0");
    assert_error!(
        x.repeat_interleave(2, 2),
        ShapeMismatch,
        "repeat_interleave(f32[2, 3]): there is no axis 2"
    );
    assert_error!(x.flatten(1, 2), ShapeMismatch, "flatten(f32[2, 3]): there are no axes 1 to 2");
    assert_error!(x.flatten(1, 0), ShapeMismatch, "flatten(f32[2, 3]): there are no axes 1 to 0");
    assert_error!(
        x.with_slice(2, 0, 1, 1, &x),
        ShapeMismatch,
        "slice_scatter(f32[2, 3], f32[2, 3]): there is no axis 2"
    );
    for (a, b) in [(0, 2), (-3, 0), (1, 1), (1, -1)] {
        let reason = format!("diagonal(f32[2, 3]): there are no two axes {a} and {b}");
        assert_error!(x.diagonal(0, a, b), ShapeMismatch, reason);
    }
    for k in [0, isize::MAX, isize::MIN] {
        assert_error!(f32s(&[3]).tril(k), ShapeMismatch, "tril(f32[3]): takes two or more axes");
        assert_error!(f32s(&[3]).triu(k), ShapeMismatch, "triu(f32[3]): takes two or more axes");
    }
}

#[test]
fn axes_that_are_named_twice_or_not_at_all() {
    let x = f32s(&[2, 3]);
    assert_error!(x.flip(&[0, -2]), ShapeMismatch, "flip(f32[2, 3]): axis -2 is named twice");
    assert_error!(
        x.movedims(&[0, 0], &[0, 1]),
        ShapeMismatch,
        "movedim(f32[2, 3]): axis 0 is named twice"
    );
    assert_error!(
        x.movedims(&[0], &[0, 1]),
        ShapeMismatch,
        "movedim(f32[2, 3]): [0] and [0, 1] differ in length"
    );
    assert_error!(
        x.roll(&[1, 2], &[0]),
        ShapeMismatch,
        "roll(f32[2, 3]): [1, 2] and [0] differ in length"
    );
    assert_error!(
        BitNetTensor::meshgrid(&[&x]),
        ShapeMismatch,
        "meshgrid(f32[2, 3]): takes tensors of one axis"
    );
}

#[test]
fn sizes_that_do_not_fit() {
    let x = f32s(&[2, 3]);
    for sizes in [&[4isize, -1][..], &[-1, -1], &[-2, 3], &[7], &[-1, 0]] {
        let reason = format!("reshape(f32[2, 3]): the elements do not fill {sizes:?}");
        match sizes {
            // What is left is cut down: then the elements do not fill it.
            [4, -1] => {
                let reason = "reshape(f32[2, 3]): the elements do not fill [4, 1]";
                assert_error!(x.view_as(sizes), ShapeMismatch, reason);
            }
            _ => assert_error!(x.view_as(sizes), ShapeMismatch, reason),
        }
    }
    assert_error!(
        x.split(&[1, 1], 1),
        ShapeMismatch,
        "split(f32[2, 3]): [1, 1] do not add up to the 3 of axis 1"
    );
    assert_error!(
        x.split(&[usize::MAX, 2], 0),
        ShapeMismatch,
        "split(f32[2, 3]): [18446744073709551615, 2] do not add up to the 2 of axis 0"
    );
    for (size, step, dilation) in [(4, 1, 1), (2, 1, 3), (0, 1, 1), (1, 0, 1), (1, 1, 0)] {
        let reason = format!(
            "windows(f32[2, 3]): no windows of {size} elements, {dilation} apart, every {step}, in axis 1"
        );
        assert_error!(x.windows(1, size, step, dilation), ShapeMismatch, reason);
    }
    assert_error!(
        x.pad(&[(1, 1)], PadMode::Edge),
        ShapeMismatch,
        "pad(f32[2, 3]): [(1, 1)] are not a pair for each axis"
    );
    assert_error!(
        f32s(&[0]).pad(&[(1, 0)], PadMode::Wrap),
        ShapeMismatch,
        "pad(f32[0]): axis 0 is empty: nothing to repeat"
    );
    assert_error!(
        x.with_slice(1, 0, 2, 1, &f32s(&[3])),
        BroadcastError,
        "slice_scatter(f32[2, 3], f32[3]): the values do not broadcast to [2, 2]"
    );
}

#[test]
fn results_that_no_memory_holds() {
    let x = f32s(&[2, 3]);
    for result in [
        x.tile(&[usize::MAX, 1]),
        x.tile(&[1 << 40, 1 << 40]),
        x.repeat_interleave(usize::MAX, 0),
        x.pad(&[(usize::MAX, 0), (0, 0)], PadMode::Constant(0.0)),
        x.pad(&[(usize::MAX, 0), (0, 0)], PadMode::Edge),
        x.pad(&[(0, usize::MAX), (0, 0)], PadMode::Reflect),
        x.expand([usize::MAX, 2, 3]),
        x.expand([1 << 40, 1, 1]).and_then(|wide| wide.expand([1 << 40, 1 << 40, 1])),
    ] {
        let error = result.map(|x| x.shape().clone()).expect_err("too large");
        assert!(error.to_string().starts_with(error.context().operation), "{error}");
    }
    let wide = x.expand([1 << 60, 2, 3]).expect("a view takes no memory");
    assert_error!(
        BitNetTensor::cat(&[&wide; 32], 0),
        InvalidTensor,
        format!(
            "cat({}): the result is too large",
            ["f32[1152921504606846976, 2, 3]"; 32].join(", ")
        )
    );
    assert_error!(
        x.pad(&[(1 << 50, 0), (0, 0)], PadMode::Edge),
        InvalidTensor,
        "pad(f32[2, 3]): [(1125899906842624, 0), (0, 0)] is too large"
    );
}

#[test]
fn tensors_that_do_not_go_together() {
    let x = f32s(&[2, 3]);
    assert_error!(BitNetTensor::cat(&[], 0), InvalidTensor, "cat: there is nothing to join");
    assert_error!(BitNetTensor::stack(&[], 0), InvalidTensor, "stack: there is nothing to join");
    assert_error!(
        BitNetTensor::cat(&[&x, &f32s(&[3, 3])], 1),
        ShapeMismatch,
        "cat(f32[2, 3], f32[3, 3]): sizes differ outside of axis 1"
    );
    assert_error!(
        BitNetTensor::cat(&[&x, &f32s(&[2])], 1),
        ShapeMismatch,
        "cat(f32[2, 3], f32[2]): sizes differ outside of axis 1"
    );
    assert_error!(
        BitNetTensor::stack(&[&x, &f32s(&[3, 2])], 1),
        ShapeMismatch,
        "stack(f32[2, 3], f32[3, 2]): the shapes differ"
    );
    assert_error!(
        BitNetTensor::stack(&[&x, &x], 3),
        ShapeMismatch,
        "stack(f32[2, 3], f32[2, 3]): unsqueeze(f32[2, 3]): the result has no axis 3"
    );
    assert_error!(
        x.with_slice(1, 0, 2, 1, &zeros(&[2], F64)),
        DTypeMismatch,
        "slice_scatter(f32[2, 3], f64[2]): takes two operands of one dense type"
    );
}

#[test]
fn indices_that_do_not_fit() {
    let (x, index) = (f32s(&[2, 3]), places(&[0, 1], &[2, 1]));
    assert_error!(
        x.gather(2, &index),
        ShapeMismatch,
        "gather(f32[2, 3], i64[2, 1]): there is no axis 2"
    );
    assert_error!(
        x.gather(1, &places(&[0], &[1])),
        ShapeMismatch,
        "gather(f32[2, 3], i64[1]): the index does not fit outside of axis 1"
    );
    assert_error!(
        x.gather(0, &places(&[0; 4], &[1, 4])),
        ShapeMismatch,
        "gather(f32[2, 3], i64[1, 4]): the index does not fit outside of axis 0"
    );
    assert_error!(
        x.take_along_axis(0, &places(&[0; 4], &[1, 4])),
        BroadcastError,
        "take_along_axis(f32[2, 3], i64[1, 4]): shapes do not broadcast: axis -1 has sizes 3 and 4"
    );
    assert_error!(
        x.take_along_axis(0, &places(&[0], &[1])),
        ShapeMismatch,
        "take_along_axis(f32[2, 3], i64[1]): the numbers of axes differ"
    );
    assert_error!(
        x.scatter(1, &index, &f32s(&[2, 2])),
        ShapeMismatch,
        "scatter(f32[2, 3], i64[2, 1], f32[2, 2]): index and source have different shapes"
    );
    assert_error!(
        x.index_select(0, &f32s(&[1])),
        DTypeMismatch,
        "index_select(f32[2, 3], f32[1]): indices are integers"
    );
    assert_error!(
        x.index_select(2, &index),
        ShapeMismatch,
        "index_select(f32[2, 3], i64[2, 1]): there is no axis 2"
    );
    assert_error!(
        x.gather(1, &zeros(&[2, 1], Bool)),
        DTypeMismatch,
        "gather(f32[2, 3], bool[2, 1]): indices are integers"
    );
    assert_error!(
        x.scatter(1, &index, &zeros(&[2, 1], F64)),
        DTypeMismatch,
        "scatter(f32[2, 3], i64[2, 1], f64[2, 1]): target and source differ in type"
    );
    assert_error!(
        zeros(&[2], Bool).scatter_add(0, &places(&[0], &[1]), &zeros(&[1], Bool)),
        UnsupportedOperation,
        "scatter_add(bool[2], i64[1], bool[1]): not for bool: convert first"
    );
    assert_error!(
        x.gather_nd(&places(&[0; 3], &[1, 3])),
        ShapeMismatch,
        "gather_nd(f32[2, 3], i64[1, 3]): an index is longer than the axes"
    );
    assert_error!(
        x.gather_nd(&zeros(&[], I64)),
        ShapeMismatch,
        "gather_nd(f32[2, 3], i64[]): an index is longer than the axes"
    );
    assert_error!(
        x.gather_nd(&f32s(&[1, 2])),
        DTypeMismatch,
        "gather_nd(f32[2, 3], f32[1, 2]): indices are integers"
    );
    assert_error!(
        x.masked_select(&x),
        DTypeMismatch,
        "masked_select(f32[2, 3], f32[2, 3]): the mask is bool"
    );
    assert_error!(
        x.masked_select(&zeros(&[3], Bool)),
        ShapeMismatch,
        "masked_select(f32[2, 3], bool[3]): the mask is not of the first axes"
    );
}

#[test]
fn indices_outside_of_their_axis() {
    let x = f32s(&[2, 3]);
    assert_error!(
        x.gather(1, &places(&[0, -4], &[2, 1])),
        ComputationError,
        "gather(f32[2, 3], i64[2, 1]): index -4, element 1 of the indices, is outside of axis 1 of size 3"
    );
    assert_error!(
        x.gather(0, &ids(&[2], &[1, 1])),
        ComputationError,
        "gather(f32[2, 3], u32[1, 1]): index 2, element 0 of the indices, is outside of axis 0 of size 2"
    );
    for (kind, name) in [
        (ScatterKind::Assign, "scatter"),
        (ScatterKind::Add, "scatter_add"),
        (ScatterKind::Max, "scatter_reduce"),
    ] {
        let reason = format!(
            "{name}(f32[2, 3], i64[2, 1], f32[2, 1]): index 3, element 1 of the indices, is outside of axis 1 of size 3"
        );
        let index = places(&[0, 3], &[2, 1]);
        let result = x.scatter_reduce(1, &index, &f32s(&[2, 1]), kind);
        assert_error!(result, ComputationError, reason);
    }
    assert_error!(
        x.gather_nd(&places(&[0, 0, 1, 3], &[2, 2])),
        ComputationError,
        "gather_nd(f32[2, 3], i64[2, 2]): index_select(i64[1, 3], i64[2]): index 3, element 1 of the indices, is outside of axis 1 of size 3"
    );
    assert_error!(
        x.scatter_nd(&places(&[i64::MIN], &[1, 1]), &f32s(&[1, 3]), ScatterKind::Assign),
        ComputationError,
        "scatter_nd(f32[2, 3], i64[1, 1], f32[1, 3]): index_select(i64[2], i64[1]): index -9223372036854775808, element 0 of the indices, is outside of axis 0 of size 2"
    );
}

#[test]
fn packed_weights_have_no_places() {
    let weight = ternary();
    assert_error!(
        weight.transpose(0, 1),
        UnsupportedOperation,
        "permute(ternary[4, 8]): a packed weight has no views"
    );
    assert_error!(
        weight.flip(&[0]),
        UnsupportedOperation,
        "slice(ternary[4, 8]): a packed weight has no views"
    );
    assert_error!(
        weight.index_select(0, &ids(&[0], &[1])),
        UnsupportedOperation,
        "index_select(ternary[4, 8], u32[1]): not for packed weights"
    );
    assert_error!(
        weight.gather(0, &ids(&[0], &[1, 1])),
        UnsupportedOperation,
        "gather(ternary[4, 8], u32[1, 1]): not for packed weights"
    );
    assert_error!(
        BitNetTensor::cat(&[&weight, &weight], 0),
        DTypeMismatch,
        "cat(ternary[4, 8], ternary[4, 8]): the operands have no common dense type"
    );
    assert_error!(
        weight.copy(),
        UnsupportedOperation,
        "copy(ternary[4, 8]): a packed weight is shared, not copied"
    );
    assert_error!(
        f32s(&[2]).to_dtype(bitnet_tensor::BitNetDType::Ternary),
        UnsupportedOperation,
        "to_dtype(f32[2]): ternary weights are made by `quantize` and `to_weight`"
    );
    assert_error!(
        weight.to_dtype(F64),
        UnsupportedOperation,
        "to_dtype(ternary[4, 8]): a ternary weight is dequantized to f32"
    );
    assert!(weight.to_dtype(F32).is_ok());
}
