//! Functions of one and of two elements.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;
use bitnet_testkit::conformance::UNARY;

use crate::check::{check, positive};

/// Every function, on both sides of zero where it is defined there, and away from its kinks.
#[test]
fn functions_of_one_element() -> Result<()> {
    let mut random = Random::new(52);
    for (kind, method, _) in UNARY {
        let name = format!("{kind:?}");
        for dtype in [F64, F32] {
            let x = positive(&mut random, dtype, &[3, 4])?;
            // (0.5, 1.5) becomes what the function is defined and smooth on.
            let (inside, below) = match name.as_str() {
                "Acosh" => (x.add(1.0)?, None),
                "Asin" | "Acos" | "Atanh" | "Tan" => (x.mul(0.5)?, Some(x.mul(-0.5)?)),
                "Log" | "Log2" | "Log10" | "Sqrt" | "Rsqrt" => (x, None),
                "Log1p" => (x.clone(), Some(x.mul(-0.5)?)),
                "Floor" | "Ceil" | "Trunc" | "Round" => (x.mul(0.2)?.add(0.1)?, None),
                "HardTanh" => (x.mul(0.6)?, Some(x.mul(-0.6)?)),
                _ => (x.clone(), Some(x.neg()?)),
            };
            check(&name, &[inside], &move |x| method(&x[0]))?;
            if let Some(below) = below {
                check(&name, &[below], &move |x| method(&x[0]))?;
            }
        }
    }
    Ok(())
}

#[test]
fn functions_of_two_elements() -> Result<()> {
    let mut random = Random::new(53);
    for dtype in [F64, F32] {
        let inputs = [positive(&mut random, dtype, &[2, 3])?, positive(&mut random, dtype, &[3])?];
        check("pow", &inputs, &|x| x[0].pow(&x[1]))?;
        check("atan2", &inputs, &|x| x[0].atan2(&x[1]))?;
        check("hypot", &inputs, &|x| x[0].hypot(&x[1]))?;
        check("copysign", &inputs, &|x| x[0].copysign(x[1].neg()?))?;
        check("clamp", &inputs[..1], &|x| x[0].clamp(0.1, 2.0))?;
        check("lerp", &inputs, &|x| x[0].lerp(&x[1], 0.3))?;
        check("mul_add", &inputs, &|x| x[0].mul_add(&x[1], &x[0]))?;
        check("masked_fill", &inputs[..1], &|x| x[0].masked_fill(&x[0].gt(1.0)?, 0.0)?.square())?;
        // Quotients between 2 and 3: no step is near.
        let a = BitNetTensor::try_from(vec![2.5f64, 2.2, -2.4])?.to_dtype(dtype)?;
        let b = BitNetTensor::try_from(vec![1.0f64, 0.97, 1.02])?.to_dtype(dtype)?;
        check("rem", &[a.clone(), b.clone()], &|x| x[0].rem(&x[1]))?;
        check("fmod", &[a.clone(), b.clone()], &|x| x[0].fmod(&x[1]))?;
        check("floor_div", &[a, b], &|x| x[0].floor_div(&x[1]))?;
    }
    // Where ln a is not defined, the power's own limits are.
    let a = BitNetTensor::try_from(vec![0.0f64, 0.0, -2.0])?.with_grad();
    let y = a.pow(BitNetTensor::try_from(vec![2.0f64, 0.0, 3.0])?)?;
    let gradients = y.sum(&[], false)?.backward()?;
    assert_eq!(gradients.get(&a).map(|g| g.to_vec::<f64>()), Some(Ok(vec![0.0, 0.0, 12.0])));
    Ok(())
}

/// What is left of the functions of two and three elements, broadcast.
#[test]
fn choices_and_blends() -> Result<()> {
    let mut random = Random::new(54);
    for dtype in [F64, F32] {
        let inputs =
            [positive(&mut random, dtype, &[2, 1, 3])?, positive(&mut random, dtype, &[4, 1])?];
        // Far enough apart that no step of the differences crosses the kink.
        let apart = [inputs[0].clone(), inputs[1].add(1.2)?];
        check("maximum", &apart, &|x| x[0].maximum(&x[1])?.square())?;
        check("minimum", &apart, &|x| x[0].minimum(&x[1])?.square())?;
        check("maximum with a number", &inputs[..1], &|x| x[0].maximum(0.1)?.square())?;
        let condition = BitNetTensor::try_from(vec![true, false, true])?;
        check("where", &inputs, &|x| condition.where_(&x[0].square()?, x[1].exp()?))?;
        let all = [inputs[0].clone(), inputs[1].clone(), positive(&mut random, dtype, &[3])?];
        check("lerp of three", &all, &|x| x[0].lerp(&x[1], &x[2]))?;
        check("mul_add of three", &all, &|x| x[0].mul_add(&x[1], &x[2]))?;
        let inside = [inputs[0].clone(), inputs[0].mul(0.1)?.sub(1.0)?, inputs[1].add(2.0)?];
        check("clamp inside", &inside[..1], &|x| x[0].clamp(&inside[1], &inside[2])?.square())?;
        check("clamp to its bounds", &inside[1..], &|x| {
            x[0].sub(3.0)?.clamp(&x[0], &x[1])?.square()
        })?;
        check("rsub", &inputs, &|x| Ok((2.0 - &x[0]) / &x[1]))?;
        let angles = [inputs[0].sub(2.0)?, inputs[1].neg()?];
        check("atan2 in the third quadrant", &angles, &|x| x[0].atan2(&x[1]))?;
        check("copysign of both signs", &angles, &|x| x[0].copysign(&x[1])?.square())?;
    }
    Ok(())
}

/// At equal elements each operand of `maximum` has half, as in PyTorch; a condition has no gradient.
#[test]
fn ties_and_truth_values() -> Result<()> {
    let a = BitNetTensor::try_from(vec![1.0f64, 2.0, 3.0])?.with_grad();
    let b = BitNetTensor::try_from(vec![1.0f64, 3.0, 2.0])?.with_grad();
    let gradients = a.maximum(&b)?.sum(&[], false)?.backward()?;
    let of = |x: &BitNetTensor| gradients.get(x).map(|g| g.to_vec::<f64>());
    assert_eq!(of(&a), Some(Ok(vec![0.5, 0.0, 1.0])));
    assert_eq!(of(&b), Some(Ok(vec![0.5, 1.0, 0.0])));
    // Through a comparison nothing flows; through the values that it chooses it does.
    let relu = a.gt(1.5)?.where_(&a, 0.0)?;
    let gradients = relu.sum(&[], false)?.backward()?;
    assert_eq!(gradients.get(&a).map(|g| g.to_vec::<f64>()), Some(Ok(vec![0.0, 1.0, 1.0])));
    Ok(())
}
