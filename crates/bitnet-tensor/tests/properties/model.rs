//! The model: an array that is nothing but indices, and tensors of random layouts beside it.
//!
//! The numbers are small integers, so `f32` arithmetic is exact and results must be equal.

use std::fmt::Display;

use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

/// An array in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Model {
    /// The array of `shape` whose element at an index is `value(index)`.
    pub(crate) fn from_fn(shape: Vec<usize>, mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let count = shape.iter().product();
        let mut index = vec![0; shape.len()];
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(value(&index));
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Self { shape, values }
    }

    pub(crate) fn at(&self, index: &[usize]) -> f64 {
        let position =
            index.iter().zip(&self.shape).fold(0, |position, (at, size)| position * size + at);
        self.values[position]
    }

    pub(crate) fn transpose(&self, a: usize, b: usize) -> Self {
        let mut shape = self.shape.clone();
        shape.swap(a, b);
        Self::from_fn(shape, |index| {
            let mut index = index.to_vec();
            index.swap(a, b);
            self.at(&index)
        })
    }

    pub(crate) fn slice(&self, axis: usize, start: usize, length: usize, step: isize) -> Self {
        let mut shape = self.shape.clone();
        shape[axis] = length;
        Self::from_fn(shape, |index| {
            let mut index = index.to_vec();
            index[axis] = (start as isize + index[axis] as isize * step) as usize;
            self.at(&index)
        })
    }

    pub(crate) fn expand(&self, axis: usize, size: usize) -> Self {
        let mut shape = self.shape.clone();
        shape[axis] = size;
        Self::from_fn(shape, |index| {
            let mut index = index.to_vec();
            index[axis] = 0;
            self.at(&index)
        })
    }

    /// With `other` of equal shape, or of one axis as long as the last.
    pub(crate) fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::from_fn(self.shape.clone(), |index| {
            let own = &index[index.len() - other.shape.len()..];
            f(self.at(index), other.at(own))
        })
    }

    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), values: self.values.iter().map(|&x| f(x)).collect() }
    }

    pub(crate) fn cat(&self, other: &Self, axis: usize) -> Self {
        let mut shape = self.shape.clone();
        shape[axis] += other.shape[axis];
        Self::from_fn(shape, |index| {
            let mut index = index.to_vec();
            if index[axis] < self.shape[axis] {
                return self.at(&index);
            }
            index[axis] -= self.shape[axis];
            other.at(&index)
        })
    }

    pub(crate) fn sum(&self, axis: usize) -> Self {
        let mut shape = self.shape.clone();
        let size = shape.remove(axis);
        Self::from_fn(shape, |index| {
            let element = |n| {
                let mut index = index.to_vec();
                index.insert(axis, n);
                self.at(&index)
            };
            (0..size).map(element).sum()
        })
    }
}

pub(crate) type Pair = (BitNetTensor, Model);

pub(crate) fn fresh(random: &mut Random, shape: Vec<usize>) -> Result<Pair> {
    let model = Model::from_fn(shape, |_| random.below(7) as f64 - 3.0);
    let values: Vec<f32> = model.values.iter().map(|&x| x as f32).collect();
    Ok((BitNetTensor::from_vec(values, model.shape.clone())?, model))
}

/// A tensor with a random layout: strided, backwards, transposed, broadcast, begun in the middle.
pub(crate) fn laid_out(random: &mut Random, rank: usize) -> Result<Pair> {
    let shape = (0..rank).map(|_| random.below(5)).collect();
    let mut pair = fresh(random, shape)?;
    for _ in 0..random.below(5) {
        pair = view(random, &pair)?;
    }
    Ok(pair)
}

/// A random view of `x` of the same rank.
pub(crate) fn view(random: &mut Random, (x, model): &Pair) -> Result<Pair> {
    let rank = model.shape.len();
    if rank == 0 {
        return Ok((x.clone(), model.clone()));
    }
    let axis = random.below(rank);
    let (at, size) = (axis as isize, model.shape[axis]);
    Ok(match random.below(4) {
        0 => {
            let other = random.below(rank);
            (x.transpose(at, other as isize)?, model.transpose(axis, other))
        }
        1 if size > 0 => {
            let back = 1 + random.below(2);
            let length = size.div_ceil(back);
            let step = -(back as isize);
            (x.slice(at, size - 1, length, step)?, model.slice(axis, size - 1, length, step))
        }
        2 if size > 1 => {
            let start = random.below(size);
            let length = 1 + random.below(size - start);
            (x.narrow(at, start, length)?, model.slice(axis, start, length, 1))
        }
        _ if size == 1 => {
            let mut shape = model.shape.clone();
            shape[axis] = 1 + random.below(4);
            (x.expand(shape.clone())?, model.expand(axis, shape[axis]))
        }
        _ => (x.clone(), model.clone()),
    })
}

pub(crate) fn assert_equal((x, model): &Pair, place: &dyn Display) {
    assert_eq!(**x.shape(), *model.shape, "{place}");
    let values: Vec<f64> = x.to_vec::<f32>().expect("read").into_iter().map(f64::from).collect();
    assert_eq!(values, model.values, "{place}");
}
