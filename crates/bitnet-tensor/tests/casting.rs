//! Conversions that NumPy leaves to the platform, and integers that their type does not hold.
//! (What NumPy defines is in the goldens of the testkit.)

use bitnet_tensor::BitNetDType::{self, BF16, Bool, F16, F32, F64};
use bitnet_tensor::{BitNetTensor, Number, Result};

macro_rules! for_integers {
    ($check:ident) => {
        $check::<u8>()?;
        $check::<u16>()?;
        $check::<u32>()?;
        $check::<u64>()?;
        $check::<i8>()?;
        $check::<i16>()?;
        $check::<i32>()?;
        $check::<i64>()?;
    };
}

/// The ends of an integer type: from an infinite float, which saturates.
fn ends<T: Number>() -> (i128, i128) {
    (T::from_f64(f64::NEG_INFINITY).to_i128(), T::from_f64(f64::INFINITY).to_i128())
}

#[test]
fn floats_saturate_and_nan_is_zero() -> Result<()> {
    fn check<T: Number>() -> Result<()> {
        let (low, high) = ends::<T>();
        let x = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -1e30, 1e30, -0.9, 300.7];
        for dtype in [F16, BF16, F32, F64] {
            let x = BitNetTensor::try_from(x.to_vec())?.to_dtype(dtype)?;
            let exact = x.to_dtype(F64)?.to_vec::<f64>()?;
            let want: Vec<i128> = exact.iter().map(|&x| (x as i128).clamp(low, high)).collect();
            let got = x.to_dtype(T::DTYPE)?.to_vec::<T>()?;
            assert_eq!(got.iter().map(|n| n.to_i128()).collect::<Vec<_>>(), want, "{dtype}");
        }
        Ok(())
    }
    for_integers!(check);
    Ok(())
}

#[test]
fn integers_round_once_to_floats() -> Result<()> {
    let to = |value: i64, dtype: BitNetDType| -> Result<f64> {
        BitNetTensor::scalar(value)?.to_dtype(dtype)?.to_dtype(F64)?.item::<f64>()
    };
    // Ties of f32 and of bf16, and one more than a tie, which f64 does not hold.
    assert_eq!(to((1 << 24) + 1, F32)?, (1u64 << 24) as f64);
    assert_eq!(to((1 << 24) + 3, F32)?, ((1u64 << 24) + 4) as f64);
    let tie = (1i64 << 62) + (1 << 54);
    assert_eq!(to(tie, BF16)?, 2f64.powi(62));
    assert_eq!(to(tie + 1, BF16)?, 2f64.powi(62) + 2f64.powi(55));
    assert_eq!(to(-tie - 1, BF16)?, -2f64.powi(62) - 2f64.powi(55));
    assert_eq!(to(tie - 1, BF16)?, 2f64.powi(62));
    assert_eq!([to(65519, F16)?, to(65520, F16)?], [65504.0, f64::INFINITY]);
    assert_eq!(to(i64::MAX, F64)?, 2f64.powi(63));
    Ok(())
}

#[test]
fn truth_of_every_float() -> Result<()> {
    for dtype in [F16, BF16, F32, F64] {
        let x = BitNetTensor::try_from(vec![0.0f64, -0.0, f64::NAN, f64::INFINITY, -0.5])?;
        let x = x.to_dtype(dtype)?;
        assert_eq!(x.to_dtype(Bool)?.to_vec::<bool>()?, [false, false, true, true, true]);
    }
    // Smaller than the half types hold, but not zero.
    let tiny = BitNetTensor::scalar(1e-300f64)?;
    assert!(tiny.to_dtype(Bool)?.item::<bool>()?);
    assert!(!tiny.to_dtype(F16)?.to_dtype(Bool)?.item::<bool>()?);
    Ok(())
}

/// The low bits of the exact result, which 128 bits hold for these.
#[test]
fn arithmetic_of_integers_wraps() -> Result<()> {
    type Method = fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>;
    type Exact = fn(i128, i128) -> i128;
    fn check<T: Number>() -> Result<()> {
        let (low, high) = ends::<T>();
        let methods: [(&str, Method, Exact); 6] = [
            ("add", |a, b| a.add(b), |a, b| a + b),
            ("sub", |a, b| a.sub(b), |a, b| a - b),
            ("mul", |a, b| a.mul(b), i128::wrapping_mul),
            ("neg", |a, _| a.neg(), |a, _| -a),
            ("abs", |a, _| a.abs(), |a, _| a.abs()),
            ("square", |a, _| a.square(), |a, _| a.wrapping_mul(a)),
        ];
        let values = [low, low + 1, 0, 1, 2, 7, high / 2, high - 1, high];
        let pairs: Vec<(i128, i128)> =
            values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).collect();
        let side = |pick: fn(&(i128, i128)) -> i128| {
            BitNetTensor::try_from(pairs.iter().map(|p| T::from_i128(pick(p))).collect::<Vec<T>>())
        };
        let (a, b) = (side(|p| p.0)?, side(|p| p.1)?);
        for (name, method, exact) in methods {
            let want: Vec<T> = pairs.iter().map(|&(a, b)| T::from_i128(exact(a, b))).collect();
            assert_eq!(method(&a, &b)?.to_vec::<T>()?, want, "{name} {}", T::DTYPE);
        }
        // The power by repeated products.
        for exponent in [0u8, 1, 2, 3, 8, 64] {
            let power = |a: i128| (0..exponent).fold(1i128, |power, _| power.wrapping_mul(a));
            let want: Vec<T> = pairs.iter().map(|p| T::from_i128(power(p.0))).collect();
            assert_eq!(a.pow(exponent)?.to_vec::<T>()?, want, "pow {exponent} {}", T::DTYPE);
        }
        if low < 0 {
            let least = BitNetTensor::scalar(T::from_i128(low))?;
            assert_eq!(least.floor_div(-1)?.item::<T>()?.to_i128(), low);
            assert_eq!(least.rem(-1)?.item::<T>()?.to_i128(), 0);
            assert_eq!(least.fmod(-1)?.item::<T>()?.to_i128(), 0);
        }
        Ok(())
    }
    for_integers!(check);
    Ok(())
}
