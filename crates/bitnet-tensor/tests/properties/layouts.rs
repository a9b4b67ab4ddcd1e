//! Views, broadcasting and reshaping of tensors with random layouts.

use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;
use proptest::prelude::*;

use crate::model::{Model, Pair, assert_equal, laid_out, view};

/// The positions in storage, in row-major order, by the definition of a layout.
fn positions(x: &BitNetTensor) -> Vec<isize> {
    let layout = x.layout();
    let mut result = vec![layout.offset() as isize];
    for (&size, &stride) in layout.shape().iter().zip(layout.strides()) {
        let along = |&base: &isize| (0..size as isize).map(move |n| base + n * stride);
        result = result.iter().flat_map(along).collect();
    }
    result
}

/// Whether some strides show `positions` under `shape`: then NumPy's `reshape` makes a view.
fn strides_can_say(positions: &[isize], shape: &[usize]) -> bool {
    let mut inner = 1;
    let mut strides = vec![0; shape.len()];
    for (&size, stride) in shape.iter().zip(&mut strides).rev() {
        if size > 1 {
            *stride = positions[inner] - positions[0];
        }
        inner *= size;
    }
    let mut said = vec![positions[0]];
    for (&size, &stride) in shape.iter().zip(&strides) {
        said = said.iter().flat_map(|&p| (0..size as isize).map(move |n| p + n * stride)).collect();
    }
    said == positions
}

/// A random way to write `count` as a product, with ones in it.
fn shape_of(random: &mut Random, mut count: usize) -> Vec<usize> {
    let mut shape = Vec::new();
    if count == 0 {
        return vec![random.below(4), 0, 3];
    }
    while count > 1 || random.below(3) == 0 {
        let divisors: Vec<usize> = (1..=count).filter(|d| count.is_multiple_of(*d)).collect();
        let size = divisors[random.below(divisors.len())];
        shape.push(size);
        count /= size;
    }
    shape
}

fn reshaped(random: &mut Random) -> Result<()> {
    let rank = random.below(5);
    let (x, model) = laid_out(random, rank)?;
    let shape = shape_of(random, model.values.len());
    let y = x.reshape(shape.clone())?;
    let is_view = model.values.is_empty() || strides_can_say(&positions(&x), &shape);
    assert_eq!(y.shares_storage_with(&x), is_view, "{:?} to {shape:?}", x.layout());
    assert_equal(&(y, Model { shape, values: model.values }), &"reshaped");
    Ok(())
}

fn viewed(random: &mut Random) -> Result<()> {
    let rank = random.below(5);
    let base = laid_out(random, rank)?;
    let next = view(random, &base)?;
    assert!(next.0.shares_storage_with(&base.0));
    assert_equal(&next, &"a view");
    assert_equal(&(next.0.copy()?, next.1.clone()), &"its copy");
    assert_equal(&base, &"what it is a view of");
    Ok(())
}

/// `x` without leading axes and with some sizes one: it broadcasts to the shape of `x`.
fn narrowed(random: &mut Random, (x, model): &Pair) -> Result<Pair> {
    let (mut x, mut model) = (x.clone(), model.clone());
    for axis in 0..model.shape.len() {
        if model.shape[axis] > 0 && random.below(3) == 0 {
            let start = random.below(model.shape[axis]);
            x = x.narrow(axis as isize, start, 1)?;
            model = model.slice(axis, start, 1, 1);
        }
    }
    while model.shape.first() == Some(&1) && random.below(2) == 0 {
        x = x.squeeze(0)?;
        model.shape.remove(0);
    }
    Ok((x, model))
}

fn broadcast(random: &mut Random) -> Result<()> {
    let rank = random.below(5);
    let base = laid_out(random, rank)?;
    let (a, b) = (narrowed(random, &base)?, narrowed(random, &base)?);
    let rank = a.1.shape.len().max(b.1.shape.len());
    let size = |model: &Model, axis: usize| {
        (axis + model.shape.len()).checked_sub(rank).map_or(1, |own| model.shape[own])
    };
    let shape = (0..rank)
        .map(|axis| if size(&a.1, axis) == 1 { size(&b.1, axis) } else { size(&a.1, axis) })
        .collect();
    let at = |model: &Model, index: &[usize]| {
        let own = &index[rank - model.shape.len()..];
        let sizes = own.iter().zip(&model.shape);
        model.at(&sizes.map(|(&at, &size)| if size == 1 { 0 } else { at }).collect::<Vec<_>>())
    };
    let sum = Model::from_fn(shape, |index| at(&a.1, index) - 2.0 * at(&b.1, index));
    let difference = a.0.sub(&b.0.mul(2.0f32)?)?;
    assert_equal(&(difference, sum), &"broadcast");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_view_shows_the_elements_of_its_storage(seed in any::<u64>()) {
        viewed(&mut Random::new(seed)).expect("a valid view");
    }

    #[test]
    fn reshape_is_a_view_exactly_where_strides_can_say_it(seed in any::<u64>()) {
        reshaped(&mut Random::new(seed)).expect("a valid shape");
    }

    #[test]
    fn operands_of_any_layout_broadcast(seed in any::<u64>()) {
        broadcast(&mut Random::new(seed)).expect("shapes that broadcast");
    }
}
