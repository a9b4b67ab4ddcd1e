//! The mode that finds where NaN and infinity come from. It is the process's: one test.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64};
use bitnet_tensor::backend::set_finite_check;
use bitnet_tensor::{BitNetTensor, Result, TensorOpError};

#[test]
fn the_first_operation_that_makes_one_is_named() -> Result<()> {
    set_finite_check(true);
    for dtype in [F16, BF16, F32, F64] {
        let x = BitNetTensor::try_from(vec![1.0f32, -1.0, 0.0])?.to_dtype(dtype)?;
        let error = x.neg()?.sqrt().unwrap_err();
        assert!(matches!(error, TensorOpError::NumericalError(_)), "{error:?}");
        assert_eq!(error.to_string(), format!("sqrt({dtype}[3]): element 0 of the result is NaN"));
        let error = x.div(&x).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("div({dtype}[3], {dtype}[3]): element 2 of the result is NaN")
        );
        // Views are read in their own order; an operator that would write over its operand does not.
        let error = x.flip(&[0])?.log().unwrap_err();
        assert!(error.to_string().contains("element 0 of the result is -inf"), "{error}");
    }
    let big = BitNetTensor::try_from(vec![70000.0f32])?;
    assert!(big.to_dtype(F16).unwrap_err().to_string().contains("element 0 of the result is inf"));
    // What was there before is not made: masks of infinity pass.
    let mask = BitNetTensor::try_from(vec![true, false])?;
    let scores =
        BitNetTensor::try_from(vec![1.0f32, 2.0])?.masked_fill(&mask, f64::NEG_INFINITY)?;
    assert_eq!(scores.softmax(-1)?.to_vec::<f32>()?, [0.0, 1.0]);
    set_finite_check(false);
    assert!(BitNetTensor::try_from(vec![0.0f32])?.log().is_ok());
    Ok(())
}
