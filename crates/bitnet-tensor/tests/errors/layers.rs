//! Misuse of layers and losses.

use bitnet_tensor::BitNetDType::{F64, I32, I64};
use bitnet_tensor::BitNetTensor;
use bitnet_tensor::ops::{Convolution, Reduction};
use bitnet_tensor::random::Generator;

use crate::support::{assert_error, f32s, zeros};

#[test]
fn normalisation_of_what_has_no_such_axes() {
    let x = f32s(&[2, 6, 3]);
    assert_error!(
        x.layer_norm(&[6], None, None, 1e-5),
        ShapeMismatch,
        "layer_norm(f32[2, 6, 3]): the last axes are not [6]"
    );
    assert_error!(
        x.group_norm(4, None, None, 1e-5),
        ShapeMismatch,
        "group_norm(f32[2, 6, 3]): 6 channels for 4 groups"
    );
    assert_error!(
        f32s(&[2]).instance_norm(None, None, 1e-5),
        ShapeMismatch,
        "instance_norm(f32[2]): takes [batch, channels, …]"
    );
    assert_error!(
        zeros(&[2, 3], I32).layer_norm(&[3], None, None, 1e-5),
        DTypeMismatch,
        "layer_norm(i32[2, 3]): takes floats: cast with to_dtype first"
    );
    assert_error!(x.log_softmax(3), ShapeMismatch, "log_softmax(f32[2, 6, 3]): there is no axis 3");
}

#[test]
fn filters_that_do_not_fit() {
    let (x, how) = (f32s(&[1, 4, 5]), Convolution::new(1));
    assert_error!(
        x.convolution(&f32s(&[2, 3, 2]), None, &how),
        ShapeMismatch,
        "convolution(f32[1, 4, 5], f32[2, 3, 2]): 4 channels in 1 groups do not fit the filters"
    );
    assert_error!(
        x.convolution(&f32s(&[2, 4, 2, 1]), None, &how),
        ShapeMismatch,
        "convolution(f32[1, 4, 5], f32[2, 4, 2, 1]): takes [batch, channels, space…] and such filters"
    );
    assert_error!(
        x.convolution(&f32s(&[2, 4, 2]), Some(&f32s(&[3])), &how),
        ShapeMismatch,
        "convolution(f32[1, 4, 5], f32[2, 4, 2], f32[3]): there is not one bias for each of 2 filters"
    );
    assert_error!(
        x.convolution(&f32s(&[2, 4, 2]), None, &Convolution::new(2)),
        ShapeMismatch,
        "convolution(f32[1, 4, 5], f32[2, 4, 2]): there are not 1 strides, paddings, dilations"
    );
    assert_error!(
        x.convolution(&f32s(&[2, 4, 0]), None, &how),
        ShapeMismatch,
        "convolution(f32[1, 4, 5], f32[2, 4, 0]): a stride, dilation or filter size is zero"
    );
    assert_error!(
        x.convolution(&zeros(&[2, 4, 2], F64), None, &how),
        DTypeMismatch,
        "convolution(f32[1, 4, 5], f64[2, 4, 2]): takes floats of one type"
    );
    assert_error!(
        x.convolution_transposed(&f32s(&[3, 2, 2]), None, &how, &[0]),
        ShapeMismatch,
        "convolution_transposed(f32[1, 4, 5], f32[3, 2, 2]): 4 channels in 1 groups"
    );
    assert_error!(
        x.convolution_transposed(&f32s(&[4, 2, 2]), None, &how, &[]),
        ShapeMismatch,
        "convolution_transposed(f32[1, 4, 5], f32[4, 2, 2]): the bias or the extra sizes do not fit"
    );
    assert_error!(
        x.max_pool(&[2], &[1, 1], &[0]),
        ShapeMismatch,
        "max_pool(f32[1, 4, 5]): a kernel of 1 axes, 2 strides and 1 paddings"
    );
    assert_error!(
        zeros(&[1, 4], I32).avg_pool(&[2], &[1], &[0]),
        DTypeMismatch,
        "avg_pool(i32[1, 4]): takes floats: cast with to_dtype first"
    );
}

#[test]
fn halves_heads_and_probabilities() {
    let x = f32s(&[2, 3]);
    assert_error!(x.glu(1), ShapeMismatch, "glu(f32[2, 3]): axis 1 of size 3 has no halves");
    assert_error!(x.swiglu(2), ShapeMismatch, "swiglu(f32[2, 3]): there is no axis 2");
    assert_error!(
        f32s(&[2]).embedding(&zeros(&[1], I64)),
        ShapeMismatch,
        "embedding(f32[2], i64[1]): takes [tokens, features]"
    );
    assert_error!(
        x.dropout(1.0, &mut Generator::new(1)),
        InvalidTensor,
        "dropout(f32[2, 3]): the probability 1 is not of [0, 1)"
    );
    assert_error!(
        x.scaled_dot_product_attention(&x, &f32s(&[3]), None, false, None),
        ShapeMismatch,
        "scaled_dot_product_attention(f32[2, 3], f32[2, 3], f32[3]): takes operands of two or more \
         axes"
    );
    assert_error!(
        x.scaled_dot_product_attention(&x, &zeros(&[2, 3], F64), None, false, None),
        DTypeMismatch,
        "scaled_dot_product_attention(f32[2, 3], f32[2, 3], f64[2, 3]): takes floats of one type"
    );
}

#[test]
fn targets_that_do_not_fit() {
    let x = f32s(&[2, 3]);
    assert_error!(
        x.mse_loss(&zeros(&[2, 3], I32), Reduction::Mean),
        DTypeMismatch,
        "mse_loss(f32[2, 3], i32[2, 3]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        x.nll_loss(&zeros(&[3], I64), None, None, Reduction::Mean),
        ShapeMismatch,
        "nll_loss(f32[2, 3], i64[3]): there is not one target for each"
    );
    assert_error!(
        x.cross_entropy(&f32s(&[2]), None, None, Reduction::Mean),
        DTypeMismatch,
        "cross_entropy(f32[2, 3], f32[2]): nll_loss(f32[2, 3], f32[2]): takes floats and integer \
         targets"
    );
    let beyond = BitNetTensor::from_slice(&[0i64, 3], [2]).expect("memory");
    let error = x.nll_loss(&beyond, None, None, Reduction::Mean).unwrap_err();
    assert!(matches!(error, bitnet_tensor::TensorOpError::ComputationError(_)), "{error}");
}
