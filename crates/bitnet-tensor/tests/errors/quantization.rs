//! Misuse of quantization.

use bitnet_tensor::BitNetDType::{F64, I8, I32, U8};
use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, Quantized, TernaryScale};

use crate::support::{assert_error, f32s, ternary, zeros};

const TERNARY: QuantizationScheme = QuantizationScheme::Ternary(TernaryScale::AbsMean);

#[test]
fn numbers_that_are_not_quantized() {
    assert_error!(
        zeros(&[2], I32).quantize(TERNARY, Granularity::Tensor),
        DTypeMismatch,
        "quantize(i32[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        ternary().fake_quantize(TERNARY, Granularity::Tensor),
        DTypeMismatch,
        "fake_quantize(ternary[4, 8]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        zeros(&[2], I8).fake_quantize_activation(),
        DTypeMismatch,
        "fake_quantize_activation(i8[2]): takes floats: cast with to_dtype first"
    );
    assert_error!(
        f32s(&[]).fake_quantize_activation(),
        ShapeMismatch,
        "fake_quantize_activation(f32[]): quantize_activation(f32[]): a scalar has no rows"
    );
}

#[test]
fn bits_that_a_code_does_not_have() {
    for bits in [0, 1, 9, 32, u32::MAX] {
        assert_error!(
            f32s(&[2]).quantize(QuantizationScheme::Symmetric { bits }, Granularity::Tensor),
            ComputationError,
            format!("quantize(f32[2]): {bits} bits are not 2 to 8")
        );
        assert_error!(
            f32s(&[2]).fake_quantize(QuantizationScheme::Asymmetric { bits }, Granularity::Row),
            ComputationError,
            format!("fake_quantize(f32[2]): {bits} bits are not 2 to 8")
        );
    }
}

#[test]
fn blocks_that_a_shape_does_not_have() {
    let quantize = |shape: &[usize], granularity| f32s(shape).quantize(TERNARY, granularity);
    assert_error!(
        quantize(&[], Granularity::Row),
        ShapeMismatch,
        "quantize(f32[]): a scalar has no rows"
    );
    assert_error!(
        quantize(&[], Granularity::Group(1)),
        ShapeMismatch,
        "quantize(f32[]): a scalar has no rows"
    );
    assert_error!(
        quantize(&[2, 3], Granularity::Channel(2)),
        ShapeMismatch,
        "quantize(f32[2, 3]): there is no axis 2"
    );
    assert_error!(
        quantize(&[2, 3], Granularity::Channel(-3)),
        ShapeMismatch,
        "quantize(f32[2, 3]): there is no axis -3"
    );
    for size in [0, 4, usize::MAX] {
        assert_error!(
            quantize(&[2, 6], Granularity::Group(size)),
            ShapeMismatch,
            format!("quantize(f32[2, 6]): rows of 6 are not a whole number of groups of {size}")
        );
    }
}

#[test]
fn parts_that_do_not_fit() {
    let make = |codes: &BitNetTensor, scales: &BitNetTensor, granularity| {
        Quantized::from_parts(codes.clone(), scales.clone(), None, TERNARY, granularity)
    };
    let codes = zeros(&[2, 6], I8);
    assert_error!(
        make(&zeros(&[2, 6], U8), &f32s(&[2]), Granularity::Row),
        DTypeMismatch,
        "quantized_from_parts(u8[2, 6], f32[2]): takes i8 codes, scales of floats and zero points of integers"
    );
    assert_error!(
        make(&codes, &zeros(&[2], I32), Granularity::Row),
        DTypeMismatch,
        "quantized_from_parts(i8[2, 6], i32[2]): takes i8 codes, scales of floats and zero points of integers"
    );
    assert_error!(
        make(&codes, &f32s(&[3]), Granularity::Row),
        ShapeMismatch,
        "quantized_from_parts(i8[2, 6], f32[3]): Row takes scales [2] for these codes"
    );
    assert_error!(
        make(&codes, &f32s(&[2]), Granularity::Group(3)),
        ShapeMismatch,
        "quantized_from_parts(i8[2, 6], f32[2]): Group(3) takes scales [2, 2] for these codes"
    );
    assert_error!(
        Quantized::from_parts(
            zeros(&[2], U8),
            f32s(&[]),
            Some(zeros(&[1], I32)),
            QuantizationScheme::Asymmetric { bits: 4 },
            Granularity::Tensor,
        ),
        ShapeMismatch,
        "quantized_from_parts(u8[2], f32[], i32[1]): Tensor takes scales [] for these codes"
    );
}

#[test]
fn codes_that_are_no_weight() {
    let quantize = |shape: &[usize], scheme, granularity| {
        f32s(shape).quantize(scheme, granularity).and_then(|q| q.to_weight())
    };
    assert_error!(
        quantize(&[2, 4], QuantizationScheme::Binary, Granularity::Row),
        UnsupportedOperation,
        "to_weight(i8[2, 4], f32[2]): the codes are neither ternary nor symmetric in six \
         bits"
    );
    assert_error!(
        quantize(&[4], TERNARY, Granularity::Tensor),
        ShapeMismatch,
        "to_weight(i8[4], f32[]): takes a matrix"
    );
    assert_error!(
        quantize(&[2, 4], TERNARY, Granularity::Group(2)),
        UnsupportedOperation,
        "to_weight(i8[2, 4], f32[2, 2]): a weight has one scale for each row"
    );
    assert_error!(
        quantize(&[2, 4], TERNARY, Granularity::Channel(1)),
        UnsupportedOperation,
        "to_weight(i8[2, 4], f32[4]): a weight has one scale for each row"
    );
}

#[test]
fn bits_that_are_not_packed() {
    assert_error!(zeros(&[2], I8).pack_bits(2), DTypeMismatch, "pack_bits(i8[2]): takes u8");
    assert_error!(
        zeros(&[], U8).pack_bits(2),
        ShapeMismatch,
        "pack_bits(u8[]): a scalar has no rows"
    );
    assert_error!(
        zeros(&[2], U8).unpack_bits(3, 2),
        ComputationError,
        "unpack_bits(u8[2]): 3 bits are none of 1, 2, 4 and 8"
    );
    assert_error!(
        zeros(&[2], U8).unpack_bits(4, 5),
        ShapeMismatch,
        "unpack_bits(u8[2]): 5 codes of 4 bits are not 2 bytes"
    );
    assert_error!(
        zeros(&[2], U8).unpack_bits(8, usize::MAX),
        ShapeMismatch,
        "unpack_bits(u8[2]): 18446744073709551615 codes of 8 bits are not 2 bytes"
    );
    // The byte 3 is no ternary code, and 2 no code at all.
    let bytes = BitNetTensor::full([1], 3u8).expect("memory");
    assert_error!(
        Quantized::unpack(&bytes, 4, f32s(&[]), None, TERNARY, Granularity::Tensor),
        ComputationError,
        "unpack(u8[1]): a code is none of Ternary(AbsMean)"
    );
    let codes = BitNetTensor::full([4], 2i8).expect("memory");
    let quantized = Quantized::from_parts(codes, f32s(&[]), None, TERNARY, Granularity::Tensor);
    assert_error!(
        quantized.and_then(|q| q.pack()),
        ComputationError,
        "pack(i8[4]): a code is none of Ternary(AbsMean)"
    );
    let zero = zeros(&[4], I8);
    let scheme = QuantizationScheme::Binary;
    let quantized = Quantized::from_parts(zero, f32s(&[]), None, scheme, Granularity::Tensor);
    assert_error!(
        quantized.and_then(|q| q.pack()),
        ComputationError,
        "pack(i8[4]): a code is none of Binary"
    );
}

#[test]
fn values_and_scales_beside_other_numbers() {
    let x = f32s(&[2, 3]);
    assert_error!(
        x.straight_through(&zeros(&[2, 3], F64)),
        DTypeMismatch,
        "straight_through(f32[2, 3], f64[2, 3]): takes two operands of one float type"
    );
    assert_error!(
        x.straight_through(&f32s(&[3])),
        ShapeMismatch,
        "straight_through(f32[2, 3], f32[3]): the shapes differ"
    );
    assert_error!(
        x.fake_quantize_affine(&f32s(&[2]), &f32s(&[2]), 0, (-8, 7)),
        DTypeMismatch,
        "fake_quantize_affine(f32[2, 3], f32[2], f32[2]): takes floats, scales of their type and zero points of integers"
    );
    assert_error!(
        x.fake_quantize_affine(&f32s(&[2]), &zeros(&[2], I32), 1, (-8, 7)),
        ShapeMismatch,
        "fake_quantize_affine(f32[2, 3], f32[2], i32[2]): scales and zero points are numbers, or one for each place of the axis"
    );
    assert_error!(
        x.fake_quantize_affine(&f32s(&[2]), &zeros(&[2], I32), 2, (-8, 7)),
        ShapeMismatch,
        "fake_quantize_affine(f32[2, 3], f32[2], i32[2]): there is no axis 2"
    );
    assert_error!(
        x.fake_quantize_affine(&f32s(&[]), &zeros(&[], I32), 0, (7, -8)),
        ComputationError,
        "fake_quantize_affine(f32[2, 3], f32[], i32[]): there is no code from 7 to -8"
    );
}

#[test]
fn errors_of_nothing() {
    assert_error!(
        f32s(&[2]).quantization_error(&f32s(&[2, 1])),
        ShapeMismatch,
        "quantization_error(f32[2], f32[2, 1]): the shapes differ"
    );
    assert_error!(
        f32s(&[0]).quantization_error(&f32s(&[0])),
        ComputationError,
        "quantization_error(f32[0], f32[0]): no elements: there is no error"
    );
}
