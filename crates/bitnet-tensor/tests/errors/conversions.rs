//! Misuse of bits and types.

use bitnet_tensor::BitNetDType::{Bool, F32, I16, I32, Ternary, U8};

use crate::support::{assert_error, f32s, ternary, zeros};

#[test]
fn bits_of_another_size_or_without_meaning() {
    assert_error!(
        f32s(&[2]).bitcast(I16),
        DTypeMismatch,
        "bitcast(f32[2]): f32 and i16 are not dense types of one size"
    );
    assert_error!(
        f32s(&[2]).bitcast(Ternary),
        DTypeMismatch,
        "bitcast(f32[2]): f32 and ternary are not dense types of one size"
    );
    assert_error!(
        ternary().bitcast(Ternary),
        DTypeMismatch,
        "bitcast(ternary[4, 8]): ternary and ternary are not dense types of one size"
    );
    assert_error!(
        zeros(&[3], U8).bitcast(Bool),
        DTypeMismatch,
        "bitcast(u8[3]): bytes become bool by `ne(0)`"
    );
    assert!(zeros(&[3], Bool).bitcast(Bool).is_ok());
    assert!(zeros(&[0, 3], I32).bitcast(F32).is_ok());
}
