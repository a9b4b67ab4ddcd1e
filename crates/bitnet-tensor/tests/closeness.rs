//! What counts as close, and the report of what is not.

use bitnet_tensor::BitNetDType::{self, F32, F64, I64, U64};
use bitnet_tensor::{BitNetTensor, Mismatch, Result, TensorOpError, assert_close};

fn f32s(values: &[f32]) -> BitNetTensor {
    BitNetTensor::from_slice(values, [values.len()]).expect("memory")
}

fn report(got: &BitNetTensor, want: &BitNetTensor) -> String {
    let mismatch = got.mismatch(want, 1e-5, 1e-8, false).expect("readable");
    mismatch.map_or("close".into(), |mismatch| mismatch.to_string())
}

#[test]
fn numpys_rule() -> Result<()> {
    let close = |a: &[f32], b: &[f32]| f32s(a).allclose(&f32s(b), 0.1, 0.5);
    assert!(close(&[10.0, -3.0, 0.0], &[11.5, -2.4, 0.5])?);
    assert!(!close(&[10.0], &[11.8])?);
    // Relative to the second.
    assert!(close(&[8.6], &[10.0])? && !close(&[10.0], &[8.6])?);
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    assert!(close(&[inf, -inf], &[inf, -inf])?);
    for (a, b) in [(inf, -inf), (inf, f32::MAX), (1.0, inf), (nan, nan), (nan, 1.0), (1.0, nan)] {
        assert!(!close(&[a], &[b])?, "{a} {b}");
    }
    assert!(f32s(&[nan, inf]).mismatch(&f32s(&[nan, inf]), 0.0, 0.0, true)?.is_none());
    // Shapes broadcast, types may differ; nothing is close to anything.
    assert!(f32s(&[1.0, 1.0]).allclose(&BitNetTensor::scalar(1i64)?, 0.0, 0.0)?);
    assert!(f32s(&[]).allclose(&f32s(&[]), 0.0, 0.0)?);
    let error = f32s(&[1.0, 2.0]).allclose(&f32s(&[1.0; 3]), 0.0, 0.0).unwrap_err();
    assert!(matches!(error, TensorOpError::BroadcastError(_)));
    assert_eq!(
        error.to_string(),
        "allclose(f32[2], f32[3]): shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
    Ok(())
}

#[test]
fn views_are_read_by_their_layout() -> Result<()> {
    let x = BitNetTensor::from_vec((0..6).map(|v| v as f32).collect(), [2, 3])?;
    let backwards = x.slice(1, 2, 3, -1)?.transpose(0, 1)?;
    let want = BitNetTensor::from_vec(vec![2.0f32, 5.0, 1.0, 4.0, 0.0, 3.0], [3, 2])?;
    assert_close(&backwards, &want, 0.0, 0.0);
    assert!(x.narrow(0, 1, 1)?.allclose(&x.narrow(0, 0, 1)?.add(3)?, 0.0, 0.0)?);
    Ok(())
}

#[test]
fn integers_are_compared_exactly() -> Result<()> {
    let (a, b) = (BitNetTensor::scalar(u64::MAX)?, BitNetTensor::scalar(u64::MAX - 1)?);
    assert!(!a.allclose(&b, 0.0, 0.0)? && a.allclose(&b, 0.0, 1.0)?);
    assert_eq!(
        a.mismatch(&b, 0.0, 0.0, false)?.map(|mismatch| mismatch.to_string()).as_deref(),
        Some(
            "1 of 1 element differs: the greatest absolute difference is 1 at [] \
             (18446744073709551615, want 18446744073709551614), the greatest relative one \
             5.421010862427522e-20 at [] (18446744073709551615, want 18446744073709551614)"
        )
    );
    let (a, b) = (BitNetTensor::scalar(i64::MIN)?, BitNetTensor::scalar(i64::MAX)?);
    assert!(!a.allclose(&b, 0.0, 0.0)?);
    Ok(())
}

#[test]
fn reports_name_what_differs() -> Result<()> {
    let zeros = |shape: &[usize], dtype: BitNetDType| BitNetTensor::zeros(shape, dtype);
    let x = zeros(&[2, 3], F32)?;
    assert_eq!(report(&x, &zeros(&[2, 3], F64)?), "the type is f32, want f64");
    assert_eq!(report(&x, &zeros(&[3], F32)?), "the shape is [2, 3], want [3]");
    assert_eq!(report(&x, &zeros(&[], I64)?), "type and shape are f32[2, 3], want i64[]");
    assert_eq!(report(&x, &zeros(&[2, 3], F32)?), "close");
    let got = BitNetTensor::from_vec(vec![0.1f32, 1000.0, 0.002, 4.0], [2, 2])?;
    let want = BitNetTensor::from_vec(vec![0.1f32, 1001.0, 0.001, 4.0], [2, 2])?;
    assert_eq!(
        report(&got, &want),
        "2 of 4 elements differ: the greatest absolute difference is 1 at [0, 1] (1000.0, want \
         1001.0), the greatest relative one 1 at [1, 0] (0.002, want 0.001)"
    );
    assert_eq!(
        report(&f32s(&[f32::NAN, 1.0]), &f32s(&[1.0, 0.0])),
        "2 of 2 elements differ: the greatest absolute difference is inf at [0] (NaN, want 1.0), \
         the greatest relative one inf at [0] (NaN, want 1.0)"
    );
    let (a, b) = (BitNetTensor::scalar(true)?, BitNetTensor::scalar(false)?);
    assert!(report(&a, &b).contains("(true, want false)"));
    // A rule of one's own.
    let same_sign = Mismatch::find(&f32s(&[-0.0]), &f32s(&[0.0]), |pair| {
        pair.got.is_sign_negative() == pair.want.is_sign_negative()
    })?;
    assert!(same_sign.is_some_and(|mismatch| mismatch.to_string().contains("(-0.0, want 0.0)")));
    Ok(())
}

#[test]
#[should_panic(expected = "1 of 2 elements differs: the greatest absolute difference is 1 at [1]")]
fn the_assertion_panics_with_the_report() {
    assert_close(&f32s(&[1.0, 2.0]), &f32s(&[1.0, 3.0]), 1e-5, 1e-8);
}

#[test]
fn packed_weights_are_compared_by_their_parts() -> Result<()> {
    let weight = BitNetTensor::full([4, 8], 1.0f32)?.ternarize()?;
    let error = weight.mismatch(&weight, 0.0, 0.0, false).unwrap_err();
    assert!(matches!(error, TensorOpError::UnsupportedOperation(_)));
    assert!(BitNetTensor::zeros([2], U64)?.allclose(&BitNetTensor::zeros([2], F32)?, 0.0, 0.0)?);
    Ok(())
}
