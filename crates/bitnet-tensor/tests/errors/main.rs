//! A misuse, its class and its message: what a user of the library reads; one file per family.
//! Those of memory and devices are in `memory_errors.rs`.

mod conversions;
mod elementwise;
mod files;
mod indexing;
mod layers;
mod linalg;
mod movement;
mod quantization;
mod reduction;
mod support;

use bitnet_tensor::BitNetDType::{Bool, F32, F64, I8, I32, Ternary, U8, U64};
use bitnet_tensor::ops::{GateKind, RopeMode};
use bitnet_tensor::{BitNetTensor, CodeLayout, Result, TensorOpError, TensorShape};

use support::{assert_error, f32s, ids, ternary, zeros};

#[test]
fn shapes_that_do_not_broadcast() {
    assert_error!(
        f32s(&[2, 3]).add(&f32s(&[4])),
        BroadcastError,
        "add(f32[2, 3], f32[4]): shapes do not broadcast: axis -1 has sizes 3 and 4"
    );
    assert_error!(
        f32s(&[2]).expand([3]),
        BroadcastError,
        "expand(f32[2]): does not broadcast to [3]"
    );
    assert_error!(
        f32s(&[3, 1]).expand([3]),
        BroadcastError,
        "expand(f32[3, 1]): does not broadcast to [3]"
    );
    assert_error!(
        f32s(&[2, 1, 2]).matmul(&f32s(&[3, 2, 2])),
        BroadcastError,
        "matmul(f32[2, 1, 2], f32[3, 2, 2]): batch shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
}

#[test]
fn operators_panic_with_the_message_of_the_method() {
    let panic = std::panic::catch_unwind(|| &f32s(&[2]) + &f32s(&[3])).expect_err("a panic");
    let message = panic.downcast_ref::<String>().expect("a formatted message");
    assert_eq!(message, "add(f32[2], f32[3]): shapes do not broadcast: axis -1 has sizes 2 and 3");
}

#[test]
fn axes_that_do_not_exist_or_are_named_twice() {
    let x = f32s(&[2, 3]);
    assert_error!(
        x.transpose(0, 2),
        ShapeMismatch,
        "transpose(f32[2, 3]): there are no axes 0 and 2"
    );
    assert_error!(
        x.permute(&[0]),
        ShapeMismatch,
        "permute(f32[2, 3]): [0] is no permutation of the axes"
    );
    assert_error!(
        x.permute(&[0, 0]),
        ShapeMismatch,
        "permute(f32[2, 3]): [0, 0] is no permutation of the axes"
    );
    assert_error!(
        x.permute(&[0, 1, 2]),
        ShapeMismatch,
        "permute(f32[2, 3]): [0, 1, 2] is no permutation of the axes"
    );
    assert_error!(
        x.squeeze(0),
        ShapeMismatch,
        "squeeze(f32[2, 3]): there is no axis 0 of size one"
    );
    assert_error!(x.unsqueeze(3), ShapeMismatch, "unsqueeze(f32[2, 3]): the result has no axis 3");
    assert_error!(x.slice(2, 0, 1, 1), ShapeMismatch, "slice(f32[2, 3]): there is no axis 2");
    assert_error!(BitNetTensor::cat(&[&x], 2), ShapeMismatch, "cat(f32[2, 3]): there is no axis 2");
    assert_error!(f32s(&[]).softmax(-1), ShapeMismatch, "softmax(f32[]): there is no axis -1");
}

#[test]
fn slices_outside_of_their_axis() {
    let x = f32s(&[4]);
    for (start, length, step) in [
        (0, 5, 1),
        (4, 1, 1),
        (5, 0, 1),
        (0, 3, 2),
        (1, 3, -1),
        (0, 1, 0),
        (usize::MAX, 1, 1),
        (1, usize::MAX, 1),
        (0, 3, isize::MAX),
        (0, 3, isize::MIN),
        (3, usize::MAX, isize::MIN),
    ] {
        let reason = format!(
            "slice(f32[4]): {length} elements from {start} with step {step} are not inside axis 0"
        );
        assert_error!(x.slice(0, start, length, step), ShapeMismatch, reason);
    }
    assert!(x.slice(0, 4, 0, 1).is_ok(), "nothing, one past the end");
}

#[test]
fn shapes_that_do_not_fit_the_operation() {
    let x = f32s(&[2, 3]);
    assert_error!(
        x.reshape([4]),
        ShapeMismatch,
        "reshape(f32[2, 3]): the elements do not fill [4]"
    );
    assert_error!(
        x.reshape([usize::MAX, 2]),
        ShapeMismatch,
        "reshape(f32[2, 3]): the elements do not fill [18446744073709551615, 2]"
    );
    assert_error!(
        x.matmul(&x),
        ShapeMismatch,
        "matmul(f32[2, 3], f32[2, 3]): 3 columns meet 2 rows"
    );
    assert_error!(
        x.matmul(&f32s(&[2])),
        ShapeMismatch,
        "matmul(f32[2, 3], f32[2]): 3 columns meet 2 elements"
    );
    assert_error!(
        x.linear(&f32s(&[5, 4])),
        ShapeMismatch,
        "linear(f32[2, 3], f32[5, 4]): 3 features meet weights for 4"
    );
    assert_error!(
        x.linear(&f32s(&[3])),
        ShapeMismatch,
        "linear(f32[2, 3], f32[3]): takes [.., in] and weights [out, in]"
    );
    assert_error!(
        x.gate(GateKind::Silu, &f32s(&[3])),
        ShapeMismatch,
        "gate(f32[2, 3], f32[3]): gate and up have different shapes"
    );
    assert_error!(
        x.rms_norm(&f32s(&[2]), 1e-5),
        ShapeMismatch,
        "rms_norm(f32[2, 3], f32[2]): takes [.., features] and a weight [features]"
    );
    assert_error!(
        BitNetTensor::cat(&[&x, &f32s(&[2, 4])], 0),
        ShapeMismatch,
        "cat(f32[2, 3], f32[2, 4]): sizes differ outside of axis 0"
    );
    assert_error!(BitNetTensor::cat(&[], 0), InvalidTensor, "cat: there is nothing to join");
    assert_error!(
        x.item::<f32>(),
        ShapeMismatch,
        "item(f32[2, 3]): there is not exactly one element"
    );
    assert_error!(
        f32s(&[]).quantize_activation(),
        ShapeMismatch,
        "quantize_activation(f32[]): a scalar has no rows"
    );
    assert_error!(f32s(&[3]).ternarize(), ShapeMismatch, "ternarize(f32[3]): takes a matrix");
    assert_error!(
        x.quantize_activation().and_then(|q| q.linear(&ternary())),
        ShapeMismatch,
        "linear(i8[2, 64], f32[2], i32[2], ternary[4, 8]): 3 features meet weights for 8"
    );
}

#[test]
fn attention_and_rope_that_do_not_fit() {
    let (q, kv, at) = (f32s(&[1, 2, 4, 6]), f32s(&[1, 5, 2, 6]), ids(&[0, 1], &[1, 2]));
    assert_error!(
        q.attention(&f32s(&[1, 5, 3, 6]), &f32s(&[1, 5, 3, 6]), &at, 1.0),
        ShapeMismatch,
        "attention(f32[1, 2, 4, 6], f32[1, 5, 3, 6], f32[1, 5, 3, 6], u32[1, 2]): 4 heads cannot share 3 key heads"
    );
    assert_error!(
        q.attention(&kv, &f32s(&[1, 4, 2, 6]), &at, 1.0),
        ShapeMismatch,
        "attention(f32[1, 2, 4, 6], f32[1, 5, 2, 6], f32[1, 4, 2, 6], u32[1, 2]): queries, keys and values do not fit"
    );
    assert_error!(
        q.attention(&kv, &kv, &ids(&[0], &[1, 1]), 1.0),
        ShapeMismatch,
        "attention(f32[1, 2, 4, 6], f32[1, 5, 2, 6], f32[1, 5, 2, 6], u32[1, 1]): positions are [batch, tokens]"
    );
    assert_error!(
        q.attention(&kv, &kv, &ids(&[0, 5], &[1, 2]), 1.0),
        ComputationError,
        "attention(f32[1, 2, 4, 6], u32[1, 2]): position 5 is outside of 5"
    );
    let table = f32s(&[4, 3]);
    assert_error!(
        q.rope(&table, &f32s(&[4, 2]), &at, RopeMode::RotateHalf),
        ShapeMismatch,
        "rope(f32[1, 2, 4, 6], f32[4, 3], f32[4, 2], u32[1, 2]): tables are [positions, head_dim/2], positions [batch, tokens]"
    );
    assert_error!(
        q.rope(&table, &table, &ids(&[0, 4], &[1, 2]), RopeMode::RotateHalf),
        ComputationError,
        "rope(f32[1, 2, 4, 6], u32[1, 2]): position 4 is outside of 4"
    );
    assert_error!(
        f32s(&[2, 6]).rope(&table, &table, &at, RopeMode::RotateHalf),
        ShapeMismatch,
        "rope(f32[2, 6], f32[4, 3], f32[4, 3], u32[1, 2]): takes [batch, tokens, heads, head_dim]"
    );
}

#[test]
fn types_that_the_operation_does_not_take() {
    let x = f32s(&[2]);
    assert_error!(
        x.add(&zeros(&[2], I32)),
        DTypeMismatch,
        "add(f32[2], i32[2]): f32 and i32 have no common type: convert one with to_dtype"
    );
    assert_error!(
        zeros(&[2], U64).add(&zeros(&[2], I8)),
        DTypeMismatch,
        "add(u64[2], i8[2]): u64 and i8 have no common type: convert one with to_dtype"
    );
    assert_error!(
        zeros(&[2], I32).div(&zeros(&[2], I32)),
        DTypeMismatch,
        "div(i32[2], i32[2]): true division takes floats: convert with to_dtype first"
    );
    assert_error!(
        zeros(&[2], Bool).add(&zeros(&[2], Bool)),
        UnsupportedOperation,
        "add(bool[2], bool[2]): not for bool: convert with to_dtype first"
    );
    assert_error!(
        zeros(&[2], I32).exp(),
        DTypeMismatch,
        "exp(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        zeros(&[2], I32).softmax(-1),
        DTypeMismatch,
        "softmax(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        zeros(&[1, 2], I32).matmul(&f32s(&[2, 1])),
        DTypeMismatch,
        "matmul(i32[1, 2], f32[2, 1]): takes two float or two integer operands that have a common type"
    );
    assert_error!(
        x.index_select(0, &f32s(&[1])),
        DTypeMismatch,
        "index_select(f32[2], f32[1]): indices are integers"
    );
    assert_error!(x.to_vec::<f64>(), DTypeMismatch, "to_vec(f32[2]): the elements are not f64");
    assert_error!(
        x.as_slice::<i32>(),
        DTypeMismatch,
        "host_data(f32[2]): the elements are not i32"
    );
    assert_error!(
        zeros(&[2], U8).quantize_activation(),
        DTypeMismatch,
        "quantize_activation(u8[2]): takes f32"
    );
    assert_error!(
        BitNetTensor::cat(&[&x, &zeros(&[2], I32)], 0),
        DTypeMismatch,
        "cat(f32[2], i32[2]): the operands have no common dense type"
    );
}

#[test]
fn packed_weights_are_no_arrays() {
    let weight = ternary();
    assert_error!(
        weight.reshape([32]),
        UnsupportedOperation,
        "reshape(ternary[4, 8]): a packed weight has no views"
    );
    assert_error!(
        weight.transpose(0, 1),
        UnsupportedOperation,
        "permute(ternary[4, 8]): a packed weight has no views"
    );
    assert_error!(
        weight.copy(),
        UnsupportedOperation,
        "copy(ternary[4, 8]): a packed weight is shared, not copied"
    );
    assert_error!(
        weight.add(&weight),
        UnsupportedOperation,
        "add(ternary[4, 8], ternary[4, 8]): not for ternary: convert with to_dtype first"
    );
    assert_error!(
        weight.to_dtype(F64),
        UnsupportedOperation,
        "to_dtype(ternary[4, 8]): a ternary weight is dequantized to f32"
    );
    assert_error!(
        f32s(&[4, 8]).to_dtype(Ternary),
        UnsupportedOperation,
        "to_dtype(f32[4, 8]): ternary weights are made by `quantize` and `to_weight`"
    );
    assert_error!(
        BitNetTensor::zeros([4, 8], Ternary),
        UnsupportedOperation,
        "empty: a ternary tensor is made by quantizing or packing"
    );
    assert_error!(
        BitNetTensor::prepare_weight(&[]),
        InvalidTensor,
        "prepare_weight: there is nothing to prepare"
    );
    assert_error!(
        BitNetTensor::prepare_weight(&[&f32s(&[2, 2])]),
        DTypeMismatch,
        "prepare_weight(f32[2, 2]): takes ternary, int6 and block weights"
    );
    let narrow = BitNetTensor::full([4, 4], 1.0f32).and_then(|w| w.ternarize()).expect("memory");
    assert_error!(
        BitNetTensor::prepare_weight(&[&weight, &narrow]),
        ShapeMismatch,
        "prepare_weight(ternary[4, 8], ternary[4, 4]): the weights have different numbers of columns"
    );
    // A weight that nobody prepared cannot be multiplied.
    assert_error!(
        f32s(&[1, 8]).linear(&weight),
        UnsupportedOperation,
        "linear(ternary[4, 8]): the weight is not prepared: see BitNetTensor::prepare_weight"
    );
    for bad in [f32::NAN, f32::INFINITY] {
        assert_error!(
            BitNetTensor::full([2, 2], bad).and_then(|w| w.ternarize()),
            ComputationError,
            "ternarize(f32[2, 2]): a weight is NaN or infinite"
        );
    }
}

#[test]
fn parts_that_make_no_ternary_weight() {
    let make = |layout, codes: &BitNetTensor, scales: &BitNetTensor, size| {
        BitNetTensor::packed_from_parts(layout, codes.clone(), scales.clone(), size)
    };
    let (bytes, packed, scales) = (zeros(&[32], I8), zeros(&[8], U8), f32s(&[4]));
    assert_error!(
        make(CodeLayout::Bytes, &packed, &scales, [4, 8]),
        DTypeMismatch,
        "packed_from_parts(u8[8], f32[4]): Bytes takes i8 codes and f32 scales"
    );
    assert_error!(
        make(CodeLayout::Bytes, &bytes, &f32s(&[3]), [4, 8]),
        ShapeMismatch,
        "packed_from_parts(i8[32], f32[3]): codes or scales do not fit [4, 8]"
    );
    assert_error!(
        make(CodeLayout::Bytes, &bytes, &scales, [4, usize::MAX]),
        ShapeMismatch,
        "packed_from_parts(i8[32], f32[4]): codes or scales do not fit [4, 18446744073709551615]"
    );
    assert_error!(
        make(CodeLayout::HuggingFace, &packed, &scales, [6, 8]),
        ShapeMismatch,
        "packed_from_parts(u8[8], f32[4]): 6 rows are not a multiple of 4"
    );
    let backwards = bytes.slice(0, 31, 32, -1).expect("a view");
    assert_error!(
        make(CodeLayout::Bytes, &backwards, &scales, [4, 8]),
        InvalidTensor,
        "packed_from_parts(i8[32], f32[4]): the parts must be contiguous and on one device"
    );

    // Codes that do not occur are found when they are read.
    for (layout, codes) in [
        (CodeLayout::Bytes, BitNetTensor::full([32], 2i8)),
        (CodeLayout::HuggingFace, BitNetTensor::full([8], 0xffu8)),
    ] {
        let weight = make(layout, &codes.expect("memory"), &scales, [4, 8]).expect("not read yet");
        for result in [weight.to_dtype(F32), BitNetTensor::prepare_weight(&[&weight])] {
            assert!(matches!(result, Err(TensorOpError::ComputationError(_))), "{layout:?}");
        }
    }
}

#[test]
fn indices_out_of_range() {
    assert_error!(
        f32s(&[3, 2]).index_select(0, &ids(&[0, 3], &[2])),
        ComputationError,
        "index_select(f32[3, 2], u32[2]): index 3, element 1 of the indices, is outside of axis 0 of size 3"
    );
    assert_error!(
        f32s(&[0, 2]).index_select(0, &ids(&[0], &[1])),
        ComputationError,
        "index_select(f32[0, 2], u32[1]): index 0, element 0 of the indices, is outside of axis 0 of size 0"
    );
    assert_error!(
        f32s(&[]).index_select(0, &ids(&[0], &[1])),
        ShapeMismatch,
        "index_select(f32[], u32[1]): there is no axis 0"
    );
    let mut target = f32s(&[1, 3, 2]);
    let rows = BitNetTensor::full([1, 2, 2], 1.0f32).expect("memory");
    assert_error!(
        target.write_rows(&ids(&[1, 3], &[1, 2]), &rows),
        ComputationError,
        "write_rows(u32[1, 2], f32[1, 2, 2]): position 3 is outside of the capacity 3"
    );
    assert_eq!(target.to_vec::<f32>().expect("read"), [0.0; 6], "nothing was written");
}

#[test]
fn the_shape_of_an_error() {
    let error = f32s(&[2]).add(&f32s(&[3])).unwrap_err();
    assert_eq!(error.context().operation, "add");
    assert_eq!(error.context().operands, ["f32[2]", "f32[3]"]);
    assert_eq!(format!("{error:?}"), format!("BroadcastError: {error}"));
    assert!(size_of::<Result<()>>() <= 16, "a Result of an operation stays small");
    assert_eq!(TensorShape::from([2, 3]).to_string(), "[2, 3]");
}
