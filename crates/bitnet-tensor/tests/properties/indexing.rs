//! Random index expressions, read and written, against loops over indices.

use bitnet_tensor::ops::{Ellipsis, Index, NewAxis, Slice};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;
use proptest::prelude::*;

use crate::model::{Model, Pair, assert_equal, fresh, laid_out};

/// What stands in an expression, as the model reads it.
#[derive(Debug)]
enum Entry {
    At(isize),
    /// The places that a range names.
    Places(Vec<usize>),
    New,
    /// An index tensor: a shape and numbers, negative from the end.
    Tensor(Vec<usize>, Vec<i64>),
    /// A mask of as many axes as it has.
    Mask(Vec<usize>, Vec<bool>),
}

/// The elements of `range(size)[start:end:step]`, one after the other.
fn places(size: usize, start: Option<isize>, end: Option<isize>, step: isize) -> Vec<usize> {
    let size = size as isize;
    let from_front = |at: isize| if at < 0 { at + size } else { at };
    let (first, last) = if step > 0 { (0, size) } else { (size - 1, -1) };
    let mut at = start.map_or(first, from_front).clamp(first.min(last), first.max(last));
    let end = end.map_or(last, from_front);
    let mut places = Vec::new();
    while (step > 0 && at < end.min(size)) || (step < 0 && at > end.max(-1)) {
        places.push(at as usize);
        at += step;
    }
    places
}

fn slice(start: Option<isize>, end: Option<isize>, step: isize) -> Index {
    let slice = match (start, end) {
        (None, None) => Slice::from(..),
        (Some(start), None) => Slice::from(start..),
        (None, Some(end)) => Slice::from(..end),
        (Some(start), Some(end)) => Slice::from(start..end),
    };
    slice.every(step).into()
}

/// A random expression for `shape`, for the library and for the model. The model's has an entry for
/// every axis.
fn expression(random: &mut Random, shape: &[usize]) -> Result<(Vec<Index>, Vec<Entry>)> {
    let (mut entries, mut meant) = (Vec::new(), Vec::new());
    let mut axis = 0;
    // Index tensors of shapes that broadcast together.
    let common = [random.below(3), 1 + random.below(2)];
    let ellipsis = random.below(3 * shape.len() + 3);
    while axis < shape.len() {
        let size = shape[axis];
        if axis == ellipsis {
            entries.push(Ellipsis.into());
            break;
        }
        match random.below(9) {
            0 | 1 if size > 0 => {
                let at = random.below(2 * size) as isize - size as isize;
                entries.push(at.into());
                meant.push(Entry::At(at));
            }
            2 => {
                entries.push(NewAxis.into());
                meant.push(Entry::New);
                continue;
            }
            3 if size > 0 => {
                let shape: Vec<usize> = match random.below(3) {
                    0 => common.to_vec(),
                    1 => vec![common[1]],
                    _ => vec![1, common[1]],
                };
                let count = shape.iter().product();
                let any = |_| random.below(2 * size) as i64 - size as i64;
                let numbers: Vec<i64> = (0..count).map(any).collect();
                let tensor = BitNetTensor::from_slice(&numbers, shape.clone())?;
                entries.push(tensor.into());
                meant.push(Entry::Tensor(shape, numbers));
            }
            // A mask alone: its count would have to broadcast.
            4 if meant.iter().all(|entry| !matches!(entry, Entry::Tensor(..))) && axis == 0 => {
                let covered = 1 + random.below(shape.len());
                let shape = shape[..covered].to_vec();
                let count = shape.iter().product();
                let truth: Vec<bool> = (0..count).map(|_| random.below(2) == 0).collect();
                entries.push(BitNetTensor::from_slice(&truth, shape.clone())?.into());
                meant.push(Entry::Mask(shape, truth));
                axis += covered;
                break;
            }
            _ => {
                let mut bound = || {
                    let at = random.below(2 * size + 5) as isize - size as isize - 2;
                    (at % 3 != 0).then_some(at)
                };
                let (start, end) = (bound(), bound());
                let step = [1, 1, 2, 3, -1, -2, -3, 100][random.below(8)];
                entries.push(slice(start, end, step));
                meant.push(Entry::Places(places(size, start, end, step)));
            }
        }
        axis += 1;
    }
    meant.extend(shape[axis..].iter().map(|&size| Entry::Places((0..size).collect())));
    Ok((entries, meant))
}

/// The shape of what an expression names, and for each element of it, in row-major order, its index
/// in the tensor.
fn named(meant: &[Entry]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let is_chosen = |entry: &Entry| matches!(entry, Entry::Tensor(..) | Entry::Mask(..));
    let chosen: Option<Vec<usize>> =
        meant.iter().filter(|entry| is_chosen(entry)).fold(None, |common, entry| {
            let own = match entry {
                Entry::Tensor(shape, _) => shape.clone(),
                Entry::Mask(_, truth) => vec![truth.iter().filter(|set| **set).count()],
                _ => Vec::new(),
            };
            Some(match common {
                None => own,
                Some(common) => broadcast(&common, &own),
            })
        });
    let belongs = |entry: &Entry| is_chosen(entry) || matches!(entry, Entry::At(_));
    let first = meant.iter().position(belongs).unwrap_or(0);
    let last = meant.iter().rposition(belongs).unwrap_or(0);
    let together = meant.get(first..=last).is_some_and(|run| run.iter().all(belongs));
    let mut shape: Vec<usize> = meant
        .iter()
        .filter_map(|entry| match entry {
            Entry::Places(places) => Some(places.len()),
            Entry::New => Some(1),
            _ => None,
        })
        .collect();
    let place = if together { first } else { 0 };
    let chosen = chosen.unwrap_or_default();
    shape.splice(place..place, chosen.iter().copied());

    let mut all = Vec::new();
    let collected = Model::from_fn(shape, |index| {
        let of_chosen = &index[place..place + chosen.len()];
        let mut others = index[..place].iter().chain(&index[place + chosen.len()..]);
        let mut source = Vec::new();
        for entry in meant {
            match entry {
                Entry::At(at) => source.push(*at as i64),
                Entry::Places(places) => {
                    source.push(places[*others.next().expect("an axis")] as i64)
                }
                Entry::New => assert_eq!(others.next(), Some(&0)),
                Entry::Tensor(shape, numbers) => {
                    let own = &of_chosen[of_chosen.len() - shape.len()..];
                    let at = own.iter().zip(shape).fold(0, |position, (&at, &size)| {
                        position * size + if size == 1 { 0 } else { at }
                    });
                    source.push(numbers[at]);
                }
                Entry::Mask(shape, truth) => {
                    let nth = of_chosen[of_chosen.len() - 1];
                    let mut set = (0..truth.len()).filter(|&n| truth[n]);
                    let mut position = set.nth(nth).expect("one that is true");
                    let mut index = vec![0; shape.len()];
                    for axis in (0..shape.len()).rev() {
                        index[axis] = (position % shape[axis]) as i64;
                        position /= shape[axis];
                    }
                    source.extend(index);
                }
            }
        }
        all.push(source);
        0.0
    });
    let unsigned = |index: Vec<i64>| index.into_iter().map(|at| at as usize).collect();
    (collected.shape, all.into_iter().map(unsigned).collect())
}

fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).map_or(1, |n| s[n]);
    (0..rank).map(|axis| if size(a, axis) == 1 { size(b, axis) } else { size(a, axis) }).collect()
}

/// With negative numbers counted from the end.
fn from_front(sizes: &[usize], index: &[usize]) -> Vec<usize> {
    let turn =
        |(&at, &size): (&usize, &usize)| if (at as isize) < 0 { at.wrapping_add(size) } else { at };
    index.iter().zip(sizes).map(turn).collect()
}

fn read_and_write(random: &mut Random) -> Result<()> {
    let rank = random.below(5);
    let base = laid_out(random, rank)?;
    let (x, model) = &base;
    let (entries, meant) = expression(random, &model.shape)?;
    let (shape, sources) = named(&meant);
    let sources: Vec<_> = sources.iter().map(|index| from_front(&model.shape, index)).collect();
    let place = format!("{:?} of {:?}", meant, x.layout());

    // Read.
    let values = sources.iter().map(|index| model.at(index)).collect();
    let got = x.index(&entries)?;
    let is_view = entries.iter().all(|entry| !matches!(entry, Index::Tensor(_)));
    assert_eq!(got.shares_storage_with(x), is_view, "{place}");
    assert_equal(&(got, Model { shape: shape.clone(), values }), &place);

    // Written: into a tensor that others see, and into one that is alone.
    let new = fewer(random, &shape)?;
    let mut written = model.clone();
    for (n, index) in sources.iter().enumerate() {
        let position = index.iter().zip(&model.shape).fold(0, |sum, (at, size)| sum * size + at);
        written.values[position] = value_at(&new.1, &shape, n);
    }
    let alone = x.copy()?;
    for mut target in [x.clone(), alone] {
        target.set_index(&entries, &new.0)?;
        assert_equal(&(target, written.clone()), &format_args!("writing {place}"));
    }
    assert_equal(&base, &"what others see");
    Ok(())
}

/// Values that broadcast to `shape`: some axes of size one, some leading ones missing.
fn fewer(random: &mut Random, shape: &[usize]) -> Result<Pair> {
    let sizes = shape.iter().map(|&size| if random.below(4) == 0 { 1 } else { size });
    let sizes: Vec<usize> = sizes.collect();
    let missing = sizes.iter().take_while(|&&size| size == 1).count();
    let missing = random.below(missing + 1);
    fresh(random, sizes[missing..].to_vec())
}

/// Element `n` in row-major order of `values` broadcast to `shape`.
fn value_at(values: &Model, shape: &[usize], mut n: usize) -> f64 {
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = n % shape[axis];
        n /= shape[axis];
    }
    let own = &index[shape.len() - values.shape.len()..];
    let own = own.iter().zip(&values.shape).map(|(&at, &size)| if size == 1 { 0 } else { at });
    values.at(&own.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn expressions_name_what_numpys_brackets_do(seed in any::<u64>()) {
        read_and_write(&mut Random::new(seed)).expect("a valid expression");
    }
}
