//! Tensors made from rules and from chance.

// A range that runs backwards is what these tests ask for.
#![allow(clippy::reversed_empty_ranges)]

use bitnet_kernels::parallel;
use bitnet_tensor::BitNetDType::{self, BF16, Bool, F16, F32, F64, I8, I64, Ternary, U8};
use bitnet_tensor::random::Generator;
use bitnet_tensor::{BitNetTensor, Result, TensorOpError};

/// Lengths and values as NumPy's.
#[test]
fn ranges() -> Result<()> {
    assert_eq!(BitNetTensor::arange(0i32..0)?.element_count(), 0);
    assert_eq!(BitNetTensor::arange(5u8..2)?.element_count(), 0);
    assert_eq!(BitNetTensor::arange_step(0i64..7, 3)?.to_vec::<i64>()?, [0, 3, 6]);
    assert_eq!(BitNetTensor::arange_step(0i64..-7, -3)?.to_vec::<i64>()?, [0, -3, -6]);
    assert_eq!(BitNetTensor::arange_step(i64::MIN..i64::MAX, i64::MAX)?.element_count(), 3);
    assert_eq!(BitNetTensor::arange_step(1.0f32..1.3, 0.1)?.element_count(), 3);
    for text in [
        BitNetTensor::arange_step(0i32..5, 0).unwrap_err().to_string(),
        BitNetTensor::arange_step(0.0..f64::INFINITY, 1.0).unwrap_err().to_string(),
        BitNetTensor::arange(0u64..u64::MAX).unwrap_err().to_string(),
    ] {
        assert!(text.starts_with("arange: "), "{text}");
    }
    assert_eq!(BitNetTensor::linspace(3.0, 7.0, 1, F64)?.to_vec::<f64>()?, [3.0]);
    assert_eq!(BitNetTensor::linspace(0.0, 9.9, 100, F64)?.to_vec::<f64>()?[99], 9.9);
    assert!(BitNetTensor::linspace(0.0, 1.0, 3, Bool).is_err());
    Ok(())
}

#[test]
fn patterns_of_every_type() -> Result<()> {
    for dtype in [Bool, U8, I8, I64, F16, BF16, F32, F64] {
        let eye = BitNetTensor::eye_rectangular(3, 4, -1, dtype)?.to_dtype(U8)?;
        assert_eq!(eye.to_vec::<u8>()?, [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0], "{dtype}");
        let ones = BitNetTensor::ones([2, 0, 3], dtype)?;
        assert_eq!((ones.element_count(), ones.dtype()), (0, dtype));
        assert_eq!(
            BitNetTensor::tri(2, 3, 1, dtype)?.to_dtype(U8)?.to_vec::<u8>()?,
            [1, 1, 0, 1, 1, 1]
        );
    }
    assert!(matches!(
        BitNetTensor::ones([2], Ternary),
        Err(TensorOpError::UnsupportedOperation(_))
    ));
    let x = BitNetTensor::from_nested([[[1u8, 2]], [[3, 4]]])?;
    assert_eq!(*x.shape(), [2, 1, 2]);
    assert_eq!(*BitNetTensor::from_nested(Vec::<Vec<f32>>::new())?.shape(), [0]);
    assert_eq!(BitNetTensor::from_nested(2.5f32)?.item::<f32>()?, 2.5);
    Ok(())
}

/// The same numbers whatever the number of threads, and as they were when this was written.
#[test]
fn the_same_seed_gives_the_same_numbers() -> Result<()> {
    let draw = || -> Result<Vec<f64>> {
        let mut generator = Generator::new(42);
        let mut all = generator.uniform([10_001], 0.0, 1.0, F64)?.to_vec::<f64>()?;
        all.extend(generator.normal([10_001], 0.0, 1.0, F64)?.to_vec::<f64>()?);
        Ok(all)
    };
    let expected = draw()?;
    for threads in [1, 3] {
        parallel::set_num_threads(threads);
        assert!(draw()?.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    let integers = Generator::new(3).integers([6], -5..5, I8)?.to_vec::<i8>()?;
    assert_eq!(integers, Generator::new(3).integers([6], -5..5, I8)?.to_vec::<i8>()?);
    Ok(())
}

/// Moments within five standard errors, and each value of a range as often as the others.
#[test]
fn distributions() -> Result<()> {
    let count = 200_000;
    let mut generator = Generator::new(9);
    let x = generator.normal([count], 1.0, 2.0, F64)?;
    let mean = x.mean(&[], false)?.item::<f64>()?;
    let spread = x.std(&[], 0, false)?.item::<f64>()?;
    assert!((mean - 1.0).abs() < 5.0 * 2.0 / (count as f64).sqrt(), "{mean}");
    assert!((spread - 2.0).abs() < 5.0 * 2.0 / (2.0 * count as f64).sqrt(), "{spread}");
    let coins = generator.bernoulli([count], 0.3)?.to_vec::<bool>()?;
    let share = coins.iter().filter(|set| **set).count() as f64 / count as f64;
    assert!((share - 0.3).abs() < 5.0 * (0.21f64 / count as f64).sqrt(), "{share}");
    let mut counts = [0usize; 7];
    for n in generator.integers([count], 0..7, I64)?.to_vec::<i64>()? {
        counts[n as usize] += 1;
    }
    let expected = count as f64 / 7.0;
    let chi: f64 = counts.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
    assert!(chi < 30.0, "{counts:?}");
    Ok(())
}

#[test]
fn what_chance_cannot_give() {
    let mut generator = Generator::new(1);
    let kind = |dtype: BitNetDType| Generator::new(1).uniform([1], 0.0, 1.0, dtype);
    assert_eq!(kind(I8).unwrap_err().to_string(), "uniform: i8 is not a float type");
    assert_eq!(
        generator.uniform([1], 1.0, 0.0, F32).unwrap_err().to_string(),
        "uniform: there is nothing between 1 and 0"
    );
    assert_eq!(
        generator.bernoulli([1], 1.5).unwrap_err().to_string(),
        "bernoulli: 1.5 is no probability"
    );
    assert_eq!(
        generator.integers([1], 3..3, I8).unwrap_err().to_string(),
        "integers: 3..3 is empty"
    );
}
