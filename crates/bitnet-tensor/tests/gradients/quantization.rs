//! The derivatives that quantization is given: not those of its steps, which are zero, but the
//! rule that its methods document.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64};
use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, Result, TernaryScale};
use bitnet_testkit::Random;

/// The gradient of `Σ weights · function(x)`.
fn gradient(
    x: &BitNetTensor,
    weights: &BitNetTensor,
    function: impl Fn(&BitNetTensor) -> Result<BitNetTensor>,
) -> Result<BitNetTensor> {
    let variable = x.with_grad();
    let gradients = function(&variable)?.mul(weights)?.sum(&[], false)?.backward()?;
    Ok(gradients.get(&variable).expect("a gradient").clone())
}

fn assert_equal(a: &BitNetTensor, b: &BitNetTensor) -> Result<()> {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    assert_eq!(a.to_dtype(F64)?.to_vec::<f64>()?, b.to_dtype(F64)?.to_vec::<f64>()?);
    Ok(())
}

#[test]
fn the_gradient_passes_straight_through() -> Result<()> {
    let schemes = [
        QuantizationScheme::Binary,
        QuantizationScheme::Ternary(TernaryScale::AbsMean),
        QuantizationScheme::Ternary(TernaryScale::Median),
        QuantizationScheme::Ternary(TernaryScale::Optimal),
        QuantizationScheme::Symmetric { bits: 4 },
        QuantizationScheme::Asymmetric { bits: 2 },
    ];
    let granularities =
        [Granularity::Tensor, Granularity::Row, Granularity::Channel(1), Granularity::Group(3)];
    let mut random = Random::new(90);
    for dtype in [F32, F64, F16, BF16] {
        let x = random.tensor(dtype, &[2, 3, 6])?;
        let weights = random.tensor(dtype, &[2, 3, 6])?;
        for scheme in schemes {
            for granularity in granularities {
                let got = gradient(&x, &weights, |x| x.fake_quantize(scheme, granularity))?;
                assert_equal(&got, &weights)?;
                // Forward: there and back.
                let there = x.quantize(scheme, granularity)?;
                let back = there.dequantize()?.to_dtype(dtype)?;
                assert_equal(&x.fake_quantize(scheme, granularity)?, &back)?;
            }
        }
        assert_equal(&gradient(&x, &weights, |x| x.fake_quantize_activation())?, &weights)?;
    }
    Ok(())
}

#[test]
fn the_chain_goes_on_behind_it() -> Result<()> {
    let x = Random::new(91).tensor(F64, &[3, 4])?;
    let scheme = QuantizationScheme::Ternary(TernaryScale::AbsMean);
    let function =
        |x: &BitNetTensor| x.mul(2.0)?.fake_quantize(scheme, Granularity::Tensor)?.square();
    let ones = x.ones_like()?;
    // d(q²)/dx = 2q · 1 · 2
    let quantized = x.mul(2.0)?.fake_quantize(scheme, Granularity::Tensor)?;
    assert_equal(&gradient(&x, &ones, function)?, &quantized.mul(4.0)?)
}

#[test]
fn nothing_leads_to_the_value_or_the_scales() -> Result<()> {
    let mut random = Random::new(92);
    let (x, value) = (random.tensor(F64, &[4])?.with_grad(), random.tensor(F64, &[4])?.with_grad());
    let gradients = x.straight_through(&value)?.sum(&[], false)?.backward()?;
    assert_equal(gradients.get(&x).expect("a gradient"), &x.ones_like()?.detach())?;
    assert!(gradients.get(&value).is_none());

    let scale = BitNetTensor::scalar(0.25f64)?.with_grad();
    let zero = BitNetTensor::scalar(0i32)?;
    let y = x.fake_quantize_affine(&scale, &zero, 0, (-8, 7))?;
    assert!(y.sum(&[], false)?.backward()?.get(&scale).is_none());
    Ok(())
}

#[test]
fn what_is_clamped_has_no_gradient() -> Result<()> {
    let x = BitNetTensor::try_from(vec![-5.0f64, -4.0, -0.1, 3.5, 3.7, 9.0])?;
    let (scale, zero) = (BitNetTensor::scalar(0.5f64)?, BitNetTensor::scalar(0i32)?);
    let weights = BitNetTensor::try_from(vec![1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    let got = gradient(&x, &weights, |x| x.fake_quantize_affine(&scale, &zero, 0, (-8, 7)))?;
    // 3.7 / 0.5 rounds to 7, the last code.
    assert_eq!(got.to_vec::<f64>()?, [0.0, 2.0, 3.0, 4.0, 5.0, 0.0]);
    Ok(())
}
