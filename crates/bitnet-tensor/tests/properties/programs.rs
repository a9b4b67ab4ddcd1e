//! Random programs of views and arithmetic.
//!
//! Every tensor that a program ever made is compared again at its end: operations, also those that
//! own their operand, never change what shares storage with it.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Random;
use proptest::prelude::*;

use crate::model::{Model, Pair, assert_equal, fresh};

/// One random operation on `x`.
fn step(random: &mut Random, (x, model): &Pair) -> Result<Pair> {
    let rank = model.shape.len();
    let axis = random.below(rank.max(1));
    let choice = random.below(14);
    if rank == 0 {
        return Ok((x.unsqueeze(0)?, Model { shape: vec![1], values: model.values.clone() }));
    }
    let size = model.shape[axis];
    Ok(match choice {
        0 => {
            let other = random.below(rank);
            (x.transpose(axis as isize, other as isize)?, model.transpose(axis, other))
        }
        1 if size > 0 => {
            // Backwards by one or two, from the end.
            let back = 1 + random.below(2);
            let length = size.div_ceil(back);
            let view = x.slice(axis as isize, size - 1, length, -(back as isize))?;
            (view, model.slice(axis, size - 1, length, -(back as isize)))
        }
        2 => {
            let start = random.below(size + 1);
            let length = random.below(size - start + 1);
            (x.narrow(axis as isize, start, length)?, model.slice(axis, start, length, 1))
        }
        3 if size == 1 => {
            let mut shape = model.shape.clone();
            shape[axis] = 1 + random.below(3);
            let expanded = model.expand(axis, shape[axis]);
            (x.expand(shape)?, expanded)
        }
        4 => {
            let count = model.values.len();
            let divisors: Vec<usize> = (1..=count).filter(|d| count % d == 0).collect();
            let shape = match divisors.len() {
                0 => vec![2, 0, 3],
                n => {
                    let first = divisors[random.below(n)];
                    vec![first, 1, count / first]
                }
            };
            (x.reshape(shape.clone())?, Model { shape, values: model.values.clone() })
        }
        5 => (x.sum(&[axis as isize], false)?, model.sum(axis)),
        6 => (x.copy()?, model.clone()),
        // Owned operands: the storage is written over when nobody else has it.
        7 => (x.clone().into_neg()?, model.map(|x| -x)),
        8 => (x.copy()?.into_neg()?, model.map(|x| -x)),
        9 => {
            let (other, other_model) = fresh(random, vec![model.shape[rank - 1]])?;
            (x.clone() + &other, model.zip(&other_model, |a, b| a + b))
        }
        10 => {
            let (other, other_model) = fresh(random, model.shape.clone())?;
            (x.copy()? - &other, model.zip(&other_model, |a, b| a - b))
        }
        11 => (x.clone().into_add(x)?, model.zip(model, |a, b| a + b)),
        12 => (x.copy()? - x.clone(), model.zip(model, |a, b| a - b)),
        _ => (BitNetTensor::cat(&[x, x], axis as isize)?, model.cat(model, axis)),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn programs_of_views_and_arithmetic(seed in any::<u64>(), length in 1usize..14) {
        let mut random = Random::new(seed);
        let rank = random.below(5);
        let shape = (0..rank).map(|_| random.below(5)).collect();
        let mut all = vec![fresh(&mut random, shape).expect("memory")];
        let mut history = Vec::new();
        for _ in 0..length {
            let from = random.below(all.len());
            // Sizes stay small, and sums exact.
            if all[from].1.values.len() < 3000 && all[from].1.values.iter().all(|x| x.abs() < 1e5) {
                let next = step(&mut random, &all[from]).expect("a valid step");
                all.push(next);
                history.push(from);
            }
        }
        for pair in &all {
            assert_equal(pair, &format_args!("after {history:?}"));
        }
    }

    #[test]
    fn a_clone_keeps_its_numbers(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let shape = [1 + random.below(4), 1 + random.below(40)];
        let (a, b) = (random.floats(&shape).expect("memory"), random.floats(&shape[1..]).expect("memory"));
        let before = a.to_vec::<f32>().expect("read");
        let kept = a.clone();
        let view = a.transpose(0, 1).expect("a view");
        let transposed = view.to_vec::<f32>().expect("read");
        let sum = a + &b;
        let product = sum.clone() * sum.clone();
        let quotient = product.into_neg().expect("computed") / &b;
        prop_assert_eq!(kept.to_vec::<f32>().expect("read"), before);
        prop_assert_eq!(view.to_vec::<f32>().expect("read"), transposed);
        prop_assert!(!quotient.shares_storage_with(&sum));
    }
}

/// An operator that owns the only reference writes over it; one that shares it does not.
#[test]
fn owned_operands_are_reused_only_when_nobody_sees_it() -> Result<()> {
    let address = |x: &BitNetTensor| x.as_slice::<f32>().map(<[f32]>::as_ptr);
    let b = BitNetTensor::full([3], 1.0f32)?;
    let a = BitNetTensor::full([2, 3], 2.0f32)?;
    let place = address(&a)?;
    let a = (a + &b).into_neg()?;
    assert_eq!(address(&a)?, place);
    let clone = a.clone();
    let sum = a + &b;
    assert_ne!(address(&sum)?, place);
    assert_eq!(clone.to_vec::<f32>()?, [-3.0; 6]);
    // A result of another shape or type takes storage of its own.
    let small = BitNetTensor::full([3], 1.0f32)?;
    let place = address(&small)?;
    let wide = small + &sum;
    assert_ne!(address(&wide)?, place);
    let promoted = b + &BitNetTensor::full([3], 1.0f64)?;
    assert_eq!(promoted.dtype(), BitNetDType::F64);
    Ok(())
}
