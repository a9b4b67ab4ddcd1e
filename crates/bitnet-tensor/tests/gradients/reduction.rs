//! Gradients of reductions and of orders.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::ops::Interpolation;
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

use crate::check::{Function, check, positive};

#[test]
fn over_any_axes() -> Result<()> {
    let mut random = Random::new(56);
    for dtype in [F64, F32] {
        for axes in [&[0][..], &[1], &[-1, 0], &[]] {
            for keepdims in [false, true] {
                let x = positive(&mut random, dtype, &[2, 3, 4])?;
                let one = |name: &str, function: &Function<'_>| {
                    check(name, std::slice::from_ref(&x), function)
                };
                one("sum", &move |x| x[0].square()?.sum(axes, keepdims))?;
                one("mean", &move |x| x[0].square()?.mean(axes, keepdims))?;
                one("var", &move |x| x[0].var(axes, 1, keepdims))?;
                one("std", &move |x| x[0].std(axes, 0, keepdims))?;
                one("logsumexp", &move |x| x[0].logsumexp(axes, keepdims))?;
            }
        }
    }
    // The coarse step of f32 passes from one extreme to another.
    for axes in [&[0][..], &[1], &[-1, 0], &[]] {
        for keepdims in [false, true] {
            let x = positive(&mut random, F64, &[2, 3, 4])?;
            let one = |name: &str, function: &Function<'_>| {
                check(name, std::slice::from_ref(&x), function)
            };
            one("max", &move |x| x[0].square()?.max(axes, keepdims))?;
            one("min", &move |x| x[0].square()?.min(axes, keepdims))?;
            for p in [0.0, 0.5, 1.0, 2.0, 2.5, 3.0, -1.0, f64::INFINITY, f64::NEG_INFINITY] {
                // Away from zero where a root is steep.
                let middle = if p < 1.0 { 2.0 } else { 1.0 };
                one("norm", &move |x| x[0].sub(middle)?.norm(p, axes, keepdims))?;
            }
        }
    }
    // Products of twenty-four numbers are too curved for the differences of f32.
    let x = positive(&mut random, F64, &[2, 3, 4])?;
    for axes in [&[0][..], &[1], &[-1, 0], &[]] {
        check("prod", std::slice::from_ref(&x), &move |x| x[0].prod(axes, true))?;
    }
    check("scalar", &[positive(&mut random, F64, &[])?], &move |x| {
        x[0].prod(&[], true)?.std(&[], 0, true)?.add(&x[0])
    })
}

#[test]
fn products_with_zeros() -> Result<()> {
    let x = [2.0, 0.0, 3.0, 0.0, 0.0, 5.0, 1.5, 2.0, -1.0];
    let x = BitNetTensor::from_slice(&x, [3, 3])?;
    for axis in [0, 1] {
        check("prod", std::slice::from_ref(&x), &move |x| x[0].prod(&[axis], false))?;
        check("cumprod", std::slice::from_ref(&x), &move |x| x[0].cumprod(axis))?;
    }
    check("prod", std::slice::from_ref(&x), &move |x| x[0].prod(&[], false))
}

#[test]
fn equal_extremes_share_their_gradient() -> Result<()> {
    let x = BitNetTensor::from_vec(vec![1.0f32, 3.0, 3.0, 2.0, -3.0, 0.0], [2, 3])?.with_grad();
    let gradient = |y: BitNetTensor| {
        y.sum(&[], false)?.backward()?.get(&x).expect("a gradient").to_vec::<f32>()
    };
    assert_eq!(gradient(x.max(&[1], false)?)?, [0.0, 0.5, 0.5, 1.0, 0.0, 0.0]);
    let third = 1.0 / 3.0;
    assert_eq!(
        gradient(x.norm(f64::INFINITY, &[], false)?)?,
        [0.0, third, third, 0.0, -third, 0.0]
    );
    Ok(())
}

#[test]
fn where_all_elements_are_equal_or_zero() -> Result<()> {
    let x = BitNetTensor::zeros([3], F32)?.with_grad();
    for y in [x.std(&[], 0, false)?, x.norm(2.0, &[], false)?, x.norm(1.0, &[], false)?] {
        let gradients = y.backward()?;
        assert_eq!(gradients.get(&x).expect("a gradient").to_vec::<f32>()?, [0.0; 3]);
    }
    Ok(())
}

#[test]
fn running() -> Result<()> {
    let mut random = Random::new(63);
    for dtype in [F64, F32] {
        for axis in [0, 1, -1] {
            let x = positive(&mut random, dtype, &[2, 3, 4])?;
            let one = |name: &str, function: &Function<'_>| {
                check(name, std::slice::from_ref(&x), function)
            };
            one("cumsum", &move |x| x[0].square()?.cumsum(axis))?;
            one("cumprod", &move |x| x[0].cumprod(axis))?;
            one("diff", &move |x| x[0].square()?.diff(1, axis))?;
        }
    }
    Ok(())
}

#[test]
fn orders() -> Result<()> {
    let x = Random::new(64).tensor(F64, &[3, 4, 5])?;
    let one = |name: &str, function: &Function<'_>| check(name, std::slice::from_ref(&x), function);
    for axis in [0, 1, -1] {
        one("sort", &move |x| Ok(x[0].square()?.sort(axis, false)?.0))?;
        one("sort descending", &move |x| Ok(x[0].sort(axis, true)?.0))?;
        one("topk", &move |x| Ok(x[0].square()?.topk(2, axis, true)?.0))?;
        one("kthvalue", &move |x| Ok(x[0].kthvalue(2, axis, false)?.0))?;
        one("cummax", &move |x| Ok(x[0].cummax(axis)?.0))?;
        one("cummin", &move |x| Ok(x[0].square()?.cummin(axis)?.0))?;
        one("median", &move |x| x[0].median(&[axis], true))?;
        one("quantile", &move |x| x[0].quantile(0.3, &[axis], false))?;
        for method in [Interpolation::Lower, Interpolation::Midpoint, Interpolation::Nearest] {
            one("quantile_with", &move |x| x[0].quantile_with(0.3, &[axis], true, method))?;
        }
    }
    one("median", &|x| x[0].median(&[], false))?;
    one("nothing", &|x| x[0].topk(0, 1, true)?.0.sum(&[], false)?.add(&x[0]))?;
    let floats = Random::new(65).floats(&[2, 7])?.mul(8)?;
    check("sort", &[floats], &|x| Ok(x[0].sort(1, false)?.0))
}
