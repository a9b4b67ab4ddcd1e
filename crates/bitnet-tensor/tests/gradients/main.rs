//! Gradients through the tape, against central differences in `f64`; one file per family.

mod check;
mod elementwise;
mod layers;
mod linalg;
mod movement;
mod quantization;
mod reduction;

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::ops::{GateKind, RopeMode};
use bitnet_tensor::{BitNetTensor, Result, TensorOpError};
use bitnet_testkit::Random;

use check::{Function, check, positive};

#[test]
fn three_operations_differentiate() -> Result<()> {
    let mut random = Random::new(50);
    let inputs = [random.tensor(F64, &[2, 3])?, random.tensor(F64, &[3])?];
    check("tanh(a·b + a)", &inputs, &|x| x[0].mul(&x[1])?.add(&x[0])?.tanh())
}

#[test]
fn a_tensor_used_twice_gets_the_sum_of_its_gradients() -> Result<()> {
    let x = Random::new(51).tensor(F64, &[4])?;
    check("x·x + x", &[x], &|x| x[0].mul(&x[0])?.add(&x[0]))
}

#[test]
fn arithmetic_with_broadcasting() -> Result<()> {
    type Method = fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>;
    let methods: [(&str, Method); 4] = [
        ("add", |a, b| a.add(b)),
        ("sub", |a, b| a.sub(b)),
        ("mul", |a, b| a.mul(b)),
        ("div", |a, b| a.div(b)),
    ];
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[2, 3], &[2, 3]),
        (&[2, 3], &[3]),
        (&[2, 1], &[1, 3]),
        (&[], &[2]),
        (&[2], &[]),
        (&[2, 1, 3], &[2, 1]),
    ];
    let mut random = Random::new(53);
    for (name, method) in methods {
        for (a, b) in shapes {
            for dtype in [F64, F32] {
                let inputs = [positive(&mut random, dtype, a)?, positive(&mut random, dtype, b)?];
                check(name, &inputs, &move |x| method(&x[0], &x[1]))?;
            }
        }
        // The promoted operand's gradient has its own type.
        let inputs = [positive(&mut random, F32, &[2, 3])?, positive(&mut random, F64, &[3])?];
        check(name, &inputs, &move |x| method(&x[0], &x[1]))?;
    }
    Ok(())
}

#[test]
fn views_and_movements() -> Result<()> {
    let x = Random::new(54).tensor(F64, &[2, 3, 4])?;
    let one = |name: &str, function: &Function<'_>| check(name, std::slice::from_ref(&x), function);
    one("reshape", &|x| x[0].reshape([6, 4]))?;
    one("reshape of a view", &|x| x[0].transpose(0, 2)?.reshape([12, 2]))?;
    one("permute", &|x| x[0].permute(&[2, 0, 1])?.square())?;
    one("transpose", &|x| x[0].transpose(0, -1)?.exp())?;
    one("narrow", &|x| x[0].narrow(1, 1, 2)?.square())?;
    one("an empty narrow beside the tensor", &|x| {
        BitNetTensor::cat(&[&x[0].narrow(1, 3, 0)?, &x[0]], 1)
    })?;
    one("expand", &|x| x[0].narrow(1, 0, 1)?.expand([5, 2, 3, 4]))?;
    one("unsqueeze, squeeze", &|x| x[0].unsqueeze(1)?.squeeze(1)?.square())?;
    one("copy", &|x| x[0].transpose(0, 1)?.copy()?.square())?;
    one("contiguous", &|x| x[0].transpose(0, 1)?.contiguous())?;
    let mut random = Random::new(55);
    let parts = [random.tensor(F64, &[2, 1])?, random.tensor(F64, &[2, 3])?];
    check("cat", &parts, &|x| BitNetTensor::cat(&[&x[0], &x[1], &x[0]], 1)?.square())?;
    check("to_dtype", &[random.floats(&[3])?], &|x| x[0].to_dtype(F64)?.square())?;
    check("to_dtype and back", &[random.floats(&[3])?], &|x| {
        x[0].to_dtype(F64)?.square()?.to_dtype(F32)
    })
}

#[test]
fn products() -> Result<()> {
    let mut random = Random::new(57);
    let shapes: [(&[usize], &[usize]); 4] = [
        (&[2, 3], &[3, 4]),
        (&[2, 2, 3], &[3, 2]),
        (&[2, 3], &[2, 3, 2]),
        (&[2, 1, 2, 3], &[3, 3, 2]),
    ];
    for (a, b) in shapes {
        for dtype in [F64, F32] {
            let inputs = [random.tensor(dtype, a)?, random.tensor(dtype, b)?];
            check("matmul", &inputs, &|x| x[0].matmul(&x[1]))?;
        }
    }
    for leading in [&[][..], &[2], &[2, 2]] {
        let inputs = [random.floats(&[leading, &[3]].concat())?, random.floats(&[4, 3])?];
        check("linear", &inputs, &|x| x[0].linear(&x[1]))?;
    }
    Ok(())
}

#[test]
fn softmax_norm_and_gates() -> Result<()> {
    let mut random = Random::new(58);
    for shape in [&[5][..], &[2, 3, 4]] {
        check("softmax", &[random.floats(shape)?], &|x| x[0].softmax(-1))?;
        let inputs =
            [positive(&mut random, F32, shape)?, random.floats(&shape[shape.len() - 1..])?];
        check("rms_norm", &inputs, &|x| x[0].rms_norm(&x[1], 1e-3))?;
        for kind in [GateKind::Silu, GateKind::ReluSquared] {
            let inputs = [positive(&mut random, F32, shape)?, random.floats(shape)?];
            check("gate", &inputs, &move |x| x[0].gate(kind, &x[1]))?;
            let inputs = [positive(&mut random, F32, shape)?.neg()?, random.floats(shape)?];
            check("gate", &inputs, &move |x| x[0].gate(kind, &x[1]))?;
        }
    }
    Ok(())
}

#[test]
fn rotary_embedding() -> Result<()> {
    let mut random = Random::new(64);
    let (cos, sin) = (random.floats(&[4, 2])?, random.floats(&[4, 2])?);
    let positions = BitNetTensor::from_vec(vec![0u32, 3], [1, 2])?;
    for mode in [RopeMode::RotateHalf, RopeMode::AdjacentPairs] {
        let x = [random.floats(&[1, 2, 2, 4])?];
        check("rope", &x, &|x| x[0].rope(&cos, &sin, &positions, mode)?.square())?;
    }
    Ok(())
}

#[test]
fn operations_without_a_rule_say_so() -> Result<()> {
    let mut random = Random::new(59);
    let x = random.floats(&[1, 2, 2, 4])?.with_grad();
    let positions = BitNetTensor::from_vec(vec![0u32, 1], [1, 2])?;
    let keys = random.floats(&[1, 3, 2, 4])?;
    let cases: [(&str, BitNetTensor); 2] = [
        ("attention", x.attention(&keys, &keys, &positions, 1.0)?),
        ("quantize_activation", x.quantize_activation()?.scales().clone()),
    ];
    for (name, y) in cases {
        assert!(y.has_grad(), "{name} was not recorded");
        let error = y.sum(&[], false)?.backward().unwrap_err();
        assert!(matches!(error, TensorOpError::UnsupportedOperation(_)), "{name}: {error}");
        assert_eq!(error.context().operation, name);
        assert_eq!(error.context().reason, "no derivative is defined");
    }
    Ok(())
}

#[test]
fn nothing_is_recorded_without_a_variable() -> Result<()> {
    let mut random = Random::new(60);
    let (a, b) = (random.floats(&[2, 3])?, random.floats(&[3])?);
    let y = a.add(&b)?.exp()?.transpose(0, 1)?.sum(&[0], false)?;
    assert!(!y.has_grad());
    let error = y.narrow(0, 0, 1)?.backward().unwrap_err();
    assert!(matches!(error, TensorOpError::InvalidTensor(_)));
    assert_eq!(error.to_string(), "backward(f32[1]): no operation was recorded");

    let x = a.with_grad();
    assert!(x.add(&b)?.has_grad());
    assert!(!x.detach().add(&b)?.has_grad());
    // Constants beside a variable have no gradient.
    let loss = x.mul(&b)?.sum(&[], false)?;
    let gradients = loss.backward()?;
    assert!(
        gradients.get(&x).is_some() && gradients.get(&b).is_none() && gradients.get(&a).is_none()
    );
    Ok(())
}

#[test]
fn only_one_element_has_a_gradient() -> Result<()> {
    let x = Random::new(61).floats(&[3])?.with_grad();
    let error = x.exp()?.backward().unwrap_err();
    assert_eq!(error.to_string(), "backward(f32[3]): only a single element has a gradient");
    Ok(())
}

#[test]
fn tensors_with_a_gradient_are_not_written_over() -> Result<()> {
    let x = Random::new(62).floats(&[2, 2])?;
    let variable = x.with_grad();
    let kept = variable.to_vec::<f32>()?;
    let y = variable.clone().into_add(&x)?;
    assert!(y.has_grad());
    assert_eq!(variable.to_vec::<f32>()?, kept);
    let mut target = BitNetTensor::zeros([1, 2, 2], F32)?.with_grad();
    let positions = BitNetTensor::from_vec(vec![0u32], [1, 1])?;
    let error = target.write_rows(&positions, &x.narrow(0, 0, 1)?.unsqueeze(0)?).unwrap_err();
    assert!(matches!(error, TensorOpError::InvalidTensor(_)), "{error}");
    Ok(())
}

#[test]
fn selection_and_ties() -> Result<()> {
    let mut random = Random::new(63);
    let inputs = [random.tensor(F64, &[2, 3])?, random.tensor(F64, &[3])?];
    check("where", &inputs, &|x| x[0].gt(0.1)?.where_(&x[0].square()?, &x[1]))?;
    // Sevenths and elevenths do not meet, so that no difference crosses a tie.
    let grid = |n: usize, by: usize| {
        let values = (0..n).map(|i| ((i * 5) % by) as f64 / by as f64 + 0.03).collect();
        BitNetTensor::from_vec(values, [n])
    };
    let inputs = [grid(12, 7)?.reshape([4, 3])?, grid(3, 11)?];
    check("maximum", &inputs, &|x| x[0].maximum(&x[1]))?;
    check("minimum", &inputs, &|x| x[0].minimum(&x[1]))?;
    // Half of the gradient to each of two equal elements, as in PyTorch.
    let x = BitNetTensor::from_vec(vec![1.0f64, 2.0], [2])?.with_grad();
    let y = BitNetTensor::from_vec(vec![1.0f64, 3.0], [2])?.with_grad();
    let gradients = x.maximum(&y)?.sum(&[], false)?.backward()?;
    assert_eq!(gradients.get(&x).map(|g| g.to_vec::<f64>()), Some(Ok(vec![0.5, 0.0])));
    assert_eq!(gradients.get(&y).map(|g| g.to_vec::<f64>()), Some(Ok(vec![0.5, 1.0])));
    assert!(!x.gt(&y)?.has_grad());
    Ok(())
}
