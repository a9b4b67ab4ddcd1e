//! Index expressions that are misused.

use bitnet_tensor::BitNetDType::{Bool, F64};
use bitnet_tensor::ops::{Ellipsis, NewAxis};
use bitnet_tensor::{BitNetTensor, s};

use crate::support::{assert_error, f32s, ids, ternary, zeros};

#[test]
fn expressions_that_do_not_fit_the_axes() {
    let x = f32s(&[2, 3]);
    assert_error!(x.index(s![0, 0, 0]), ShapeMismatch, "index(f32[2, 3]): 3 entries for 2 axes");
    assert_error!(
        x.index(s![.., ..., .., 0, NewAxis]),
        ShapeMismatch,
        "index(f32[2, 3]): 3 entries for 2 axes"
    );
    assert_error!(
        x.index(s![..., 0, Ellipsis]),
        ShapeMismatch,
        "index(f32[2, 3]): 2 ellipses: only one can fill the rest"
    );
    assert_error!(
        x.index(s![.., 1..;0]),
        ShapeMismatch,
        "index(f32[2, 3]): the range of axis 1 has a step of zero"
    );
    assert_error!(
        x.index(s![&zeros(&[3], Bool)]),
        ShapeMismatch,
        "index(f32[2, 3], bool[3]): the mask [3] does not fit the sizes [2] from axis 0"
    );
    assert_error!(
        x.index(s![0, &zeros(&[3, 1], Bool)]),
        ShapeMismatch,
        "index(f32[2, 3], bool[3, 1]): 3 entries for 2 axes"
    );
    assert_error!(
        x.index(s![&ids(&[0, 0], &[2]), &ids(&[0, 0, 0], &[3])]),
        BroadcastError,
        "index(f32[2, 3], u32[2], u32[3]): the index tensors do not broadcast: axis -1 has sizes 2 and 3"
    );
    assert_error!(
        x.index(s![&x]),
        DTypeMismatch,
        "index(f32[2, 3], f32[2, 3]): an index tensor is of integers or bool, not f32"
    );
    assert_error!(
        ternary().index(s![0]),
        UnsupportedOperation,
        "index(ternary[4, 8]): slice(ternary[4, 8]): a packed weight has no views"
    );
}

#[test]
fn numbers_outside_of_their_axis() {
    let x = f32s(&[2, 3]);
    for at in [3, -4, isize::MAX, isize::MIN] {
        let reason = format!("index(f32[2, 3]): index {at} is outside of axis 1 of size 3");
        assert_error!(x.index(s![.., at]), ComputationError, reason);
    }
    assert_error!(
        x.index(s![usize::MAX]),
        ComputationError,
        "index(f32[2, 3]): index 9223372036854775807 is outside of axis 0 of size 2"
    );
    assert_error!(
        f32s(&[0]).index(s![0]),
        ComputationError,
        "index(f32[0]): index 0 is outside of axis 0 of size 0"
    );
    assert_error!(
        x.index(s![.., &ids(&[2, 3], &[2])]),
        ComputationError,
        "index(f32[2, 3], u32[2]): index_select(f32[2, 3], u32[2]): index 3, element 1 of the indices, is outside of axis 1 of size 3"
    );
    assert_error!(
        x.index(s![&ids(&[0], &[1]), &ids(&[0, 7], &[2])]),
        ComputationError,
        "index(f32[2, 3], u32[1], u32[2]): index_select(i64[1, 3], u32[2]): index 7, element 1 of the indices, is outside of axis 1 of size 3"
    );
    // Ranges are cut to the axis, whatever their bounds.
    for (start, end) in [(isize::MIN, isize::MAX), (-9, 9)] {
        assert_eq!(x.index(s![.., start..end]).expect("cut").element_count(), 6);
        assert_eq!(x.index(s![.., end..start;-1]).expect("cut").element_count(), 6);
        assert_eq!(x.index(s![.., ..=end;isize::MAX]).expect("cut").element_count(), 2);
        assert_eq!(x.index(s![.., end..=start;isize::MIN]).expect("cut").element_count(), 2);
    }
}

#[test]
fn values_that_do_not_fit() {
    let mut x = f32s(&[2, 3]);
    let before = x.to_vec::<f32>();
    assert_error!(
        x.set_index(s![0], &f32s(&[2])),
        BroadcastError,
        "set_index(f32[2, 3], f32[2]): the values do not broadcast to [3]"
    );
    assert_error!(
        x.set_index(s![0, 0], &f32s(&[2])),
        BroadcastError,
        "set_index(f32[2, 3], f32[2]): the values do not broadcast to []"
    );
    assert_error!(
        x.set_index(s![&zeros(&[2, 3], Bool)], &f32s(&[2])),
        BroadcastError,
        "set_index(f32[2, 3], f32[2], bool[2, 3]): the values do not broadcast to [0]"
    );
    assert_error!(
        x.set_index(s![..], &zeros(&[3], F64)),
        DTypeMismatch,
        "set_index(f32[2, 3], f64[3]): the values are f64, not f32: convert them with to_dtype"
    );
    assert_error!(
        x.set_index(s![2], 1.0),
        ComputationError,
        "set_index(f32[2, 3], f32[]): index 2 is outside of axis 0 of size 2"
    );
    assert_error!(
        x.set_index(s![&ids(&[0, 2], &[2])], 1.0),
        ComputationError,
        "set_index(f32[2, 3], f32[], u32[2]): index_select(i64[2], u32[2]): index 2, element 1 of the indices, is outside of axis 0 of size 2"
    );
    let mut bytes = BitNetTensor::from_slice(&[1u8, 2], [2]).expect("memory");
    assert_error!(
        bytes.set_index(s![0], 300),
        DTypeMismatch,
        "set_index(u8[2]): the number 300 is not of type u8"
    );
    assert_eq!((x.to_vec::<f32>(), &**x.shape()), (before, &[2, 3][..]));
}
