//! Operations that own their operand, and may write over it, against those that borrow it: the same
//! bits, whatever the layout and whoever else holds the storage; and what others hold stays.

use bitnet_tensor::BitNetDType::{
    self, BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64,
};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::conformance::UNARY;
use bitnet_testkit::random::layouts;
use bitnet_testkit::{Random, Tolerance, compare::compare};
use proptest::prelude::*;

const NUMBERS: [BitNetDType; 12] = [F32, F64, F16, BF16, U8, U16, U32, U64, I8, I16, I32, I64];

type Method = fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>;
type Owned = fn(BitNetTensor, &BitNetTensor) -> BitNetTensor;
type OwnedForm = fn(BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>;
type Assign = fn(&mut BitNetTensor, &BitNetTensor);

/// The owned form of every function of two elements that has no operator.
const OWNED: [(&str, Method, OwnedForm); 8] = [
    ("maximum", |a, b| a.maximum(b), |a, b| a.into_maximum(b)),
    ("minimum", |a, b| a.minimum(b), |a, b| a.into_minimum(b)),
    ("floor_div", |a, b| a.floor_div(b), |a, b| a.into_floor_div(b)),
    ("fmod", |a, b| a.fmod(b), |a, b| a.into_fmod(b)),
    ("pow", |a, b| a.pow(b), |a, b| a.into_pow(b)),
    ("atan2", |a, b| a.atan2(b), |a, b| a.into_atan2(b)),
    ("hypot", |a, b| a.hypot(b), |a, b| a.into_hypot(b)),
    ("copysign", |a, b| a.copysign(b), |a, b| a.into_copysign(b)),
];

const OPERATORS: [(&str, Method, Owned, Assign); 10] = [
    ("add", |a, b| a.add(b), |a, b| a + b, |a, b| *a += b),
    ("sub", |a, b| a.sub(b), |a, b| a - b, |a, b| *a -= b),
    ("mul", |a, b| a.mul(b), |a, b| a * b, |a, b| *a *= b),
    ("div", |a, b| a.div(b), |a, b| a / b, |a, b| *a /= b),
    ("rem", |a, b| a.rem(b), |a, b| a % b, |a, b| *a %= b),
    ("bitand", |a, b| a.bitand(b), |a, b| a & b, |a, b| *a &= b),
    ("bitor", |a, b| a.bitor(b), |a, b| a | b, |a, b| *a |= b),
    ("bitxor", |a, b| a.bitxor(b), |a, b| a ^ b, |a, b| *a ^= b),
    ("shl", |a, b| a.shl(b), |a, b| a << b, |a, b| *a <<= b),
    ("shr", |a, b| a.shr(b), |a, b| a >> b, |a, b| *a >>= b),
];

fn same(what: &str, got: &BitNetTensor, want: &BitNetTensor) {
    compare(got, want, Tolerance::EXACT).unwrap_or_else(|why| panic!("{what}: {why}"));
}

/// In one of the layouts of the testkit, sharing its storage with the original or not.
fn placed(random: &mut Random, x: &BitNetTensor) -> Result<BitNetTensor> {
    let mut variants = layouts(x)?;
    let chosen = variants.swap_remove(random.below(variants.len())).1;
    if random.below(3) == 0 { chosen.copy() } else { Ok(chosen) }
}

fn shape(random: &mut Random) -> Vec<usize> {
    let rank = random.below(4);
    (0..rank).map(|_| [0, 1, 2, 3, 5, 17][random.below(6)]).collect()
}

/// A shape that broadcasts with another: some axes are one, the first ones may be absent.
fn beside(random: &mut Random, shape: &[usize]) -> Vec<usize> {
    let absent = random.below(shape.len() + 1);
    shape[absent..].iter().map(|&size| if random.below(3) == 0 { 1 } else { size }).collect()
}

/// A type that promotes with another, mostly itself.
fn type_beside(random: &mut Random, dtype: BitNetDType) -> BitNetDType {
    let all: Vec<_> = NUMBERS.into_iter().filter(|other| dtype.promote(*other).is_some()).collect();
    if random.below(3) == 0 && dtype != Bool { all[random.below(all.len())] } else { dtype }
}

fn unary(random: &mut Random) -> Result<()> {
    let (kind, method, owned) = UNARY[random.below(UNARY.len())];
    let dtype = NUMBERS[random.below(NUMBERS.len())];
    let shape = shape(random);
    let x = random.tensor(dtype, &shape)?;
    let x = placed(random, &x)?;
    let Ok(want) = method(&x) else {
        assert!(owned(x).is_err(), "{kind:?} {dtype}");
        return Ok(());
    };
    let (kept, before) = (x.clone(), x.copy()?);
    same(&format!("{kind:?} of shared storage"), &owned(x)?, &want);
    same("what the other holder sees", &kept, &before);
    // Nobody else holds it now, in its own layout; and in row-major order.
    same(&format!("{kind:?} of a view alone"), &owned(kept)?, &want);
    same(&format!("{kind:?} of storage of its own"), &owned(before)?, &want);
    Ok(())
}

fn binary(random: &mut Random) -> Result<()> {
    let (name, method, owned, assign) = OPERATORS[random.below(OPERATORS.len())];
    let dtype = match name {
        "bitand" | "bitor" | "bitxor" if random.below(4) == 0 => Bool,
        "bitand" | "bitor" | "bitxor" | "shl" | "shr" => NUMBERS[4 + random.below(8)],
        "div" => NUMBERS[random.below(4)],
        _ => NUMBERS[random.below(NUMBERS.len())],
    };
    let large = shape(random);
    let small = beside(random, &large);
    let (first, second) = if random.below(4) == 0 { (small, large) } else { (large, small) };
    let other = type_beside(random, dtype);
    let (a, b) = (random.tensor(dtype, &first)?, random.tensor(other, &second)?);
    // Divisors that are not zero, shifts that are not negative.
    let b = match name {
        "rem" if b.dtype().is_integer() => b.eq(0)?.where_(&b.maximum(1)?, &b)?,
        "shl" | "shr" => b.bitand(31)?,
        _ => b,
    };
    let (a, b) = (placed(random, &a)?, placed(random, &b)?);
    let Ok(want) = method(&a, &b) else {
        panic!("{name} {dtype} {other}: {:?}", method(&a, &b).err());
    };
    let (kept, before) = (a.clone(), a.copy()?);
    same(name, &owned(a.clone(), &b), &want);
    let mut target = a;
    assign(&mut target, &b);
    same(&format!("{name} assigned"), &target, &want);
    same("what the other holder sees", &kept, &before);
    let mut target = before.copy()?;
    assign(&mut target, &b);
    same(&format!("{name} assigned in place"), &target, &want);
    same(&format!("{name} of a view alone"), &owned(kept, &b), &want);
    same(&format!("{name} of storage of its own"), &owned(before, &b), &want);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn functions_of_one_element(seed in any::<u64>()) {
        unary(&mut Random::new(seed)).expect("computed");
    }

    #[test]
    fn operators(seed in any::<u64>()) {
        binary(&mut Random::new(seed)).expect("computed");
    }
}

/// In the place of the first operand when nobody else holds it, else in another.
#[test]
fn owned_forms_without_an_operator() -> Result<()> {
    let mut random = Random::new(7);
    let address = |x: &BitNetTensor| x.as_slice::<f32>().map(<[f32]>::as_ptr);
    for (name, method, owned) in OWNED {
        let a = random.tensor(F32, &[3, 5])?.abs()?;
        let b = random.tensor(F32, &[5])?;
        let want = method(&a, &b)?;
        let kept = a.clone();
        same(name, &owned(a, &b)?, &want);
        let place = address(&kept)?;
        let written = owned(kept, &b)?;
        same(&format!("{name} in place"), &written, &want);
        assert_eq!(address(&written)?, place, "{name}");
        let error = owned(written, &random.tensor(F32, &[4])?).unwrap_err();
        assert_eq!(error.context().operation, name);
    }
    Ok(())
}

/// An operand that is the target itself.
#[test]
fn a_tensor_beside_itself() -> Result<()> {
    let mut random = Random::new(5);
    for dtype in NUMBERS {
        let x = random.tensor(dtype, &[3, 5])?;
        let (twice, nothing) = (x.add(&x)?, x.sub(&x)?);
        let mut y = x.copy()?;
        y += y.clone();
        same("x += x", &y, &twice);
        let y = x.copy()?;
        same("x − its view", &(y.clone() - &y), &nothing);
        let y = x.copy()?;
        let turned = y.slice(1, 4, 5, -1)?;
        let want = x.add(x.slice(1, 4, 5, -1)?)?;
        same("x + its reversal", &(y + turned), &want);
    }
    Ok(())
}

/// Into storage of the same size that held other numbers.
#[test]
fn reused_storage_gives_the_same_bits() -> Result<()> {
    let mut random = Random::new(6);
    for dtype in [F32, F64, F16, BF16] {
        let x = random.tensor(dtype, &[40_001])?;
        for (kind, method, owned) in UNARY {
            let want = method(&x)?;
            same(&format!("{kind:?} {dtype}"), &owned(x.copy()?)?, &want);
            // The pool hands out what was just given back, full of other numbers.
            drop(method(&x.neg()?)?);
            same(&format!("{kind:?} {dtype} again"), &method(&x)?, &want);
        }
    }
    Ok(())
}
