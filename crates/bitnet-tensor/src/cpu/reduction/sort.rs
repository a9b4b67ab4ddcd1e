//! Sorting the lines of the last axis.
//!
//! Every element becomes a key, an unsigned number in the same order (NaN the largest, both zeros
//! equal), and is sorted together with its place. No two such pairs are equal, so that an unstable
//! sort of them is a stable sort of the elements. Keys and places of types of up to 32 bits fit
//! into one `u64`.

use std::ops::Range;

use bitnet_kernels::parallel;

use super::plan::Side;
use super::source::{Reading, Source, bytes_of_bool, floats, integers};
use crate::cpu::GRAIN;
use crate::error::{Result, bail};
use crate::ops::Sort;
use crate::{BitNetDType, BitNetTensor, Element};

pub(in crate::cpu) fn sort(
    op: &Sort,
    x: &BitNetTensor,
    values: &mut BitNetTensor,
    places: &mut BitNetTensor,
) -> Result<()> {
    if values.element_count() == 0 {
        return Ok(());
    }
    let last = x.rank() - 1;
    let leading: Vec<usize> = (0..last).collect();
    let bytes = &bytes_of_bool(x)?;
    let lines = Side::new(x.layout(), &leading);
    let line = Side::new(x.layout(), &[last]);
    let (length, count) = (line.count, op.count.unwrap_or(line.count));
    let keys = Keys::of(bytes)?;
    let rows_at_once = (GRAIN / length).max(1);
    let sorted = places.try_mut::<i64>()?;
    parallel::for_each_chunk_mut(sorted, rows_at_once * count, |chunk, sorted| {
        let mut row_keys = Vec::with_capacity(length);
        for (i, sorted) in sorted.chunks_exact_mut(count).enumerate() {
            let displacement = lines.displacement(chunk * rows_at_once + i);
            keys.read(&line, displacement, &mut row_keys);
            places_in_order(
                &row_keys,
                keys.narrow && u32::try_from(length).is_ok(),
                op.descending,
                sorted,
            );
        }
    });
    // The values are taken as they are: of keys the sign of a zero could not be read back.
    let places = places.as_slice::<i64>()?;
    let rows = Rows { lines: &lines, line: &line, offset: x.layout().offset(), places, count };
    let dtype = values.dtype();
    let raw = match dtype.size_in_bytes() {
        Some(1) => BitNetDType::U8,
        Some(2) => BitNetDType::U16,
        Some(4) => BitNetDType::U32,
        Some(8) => BitNetDType::U64,
        _ => bail!(InternalError, "sort", &[x], "not a dense type"),
    };
    let x = bytes.reinterpreted(raw);
    values.reinterpret(raw);
    let taken = match raw {
        BitNetDType::U8 => rows.take::<u8>(&x, values),
        BitNetDType::U16 => rows.take::<u16>(&x, values),
        BitNetDType::U32 => rows.take::<u32>(&x, values),
        _ => rows.take::<u64>(&x, values),
    };
    values.reinterpret(dtype);
    taken
}

/// The places of the first elements in the order of their keys.
fn places_in_order(keys: &[u64], narrow: bool, descending: bool, out: &mut [i64]) {
    let flip = if descending { u64::MAX } else { 0 };
    let keys = keys.iter().map(|&key| key ^ flip).enumerate();
    if narrow {
        // The upper half holds the key.
        let pairs = keys.map(|(place, key)| (key & !0xffff_ffff) | place as u64).collect();
        first_in_order(pairs, out, |pair| (pair & 0xffff_ffff) as i64);
    } else {
        let pairs = keys.map(|(place, key)| u128::from(key) << 64 | place as u128).collect();
        first_in_order(pairs, out, |pair| pair as i64);
    }
}

fn first_in_order<P: Ord + Copy>(mut pairs: Vec<P>, out: &mut [i64], place: impl Fn(P) -> i64) {
    if out.len() < pairs.len() {
        pairs.select_nth_unstable(out.len());
        pairs.truncate(out.len());
    }
    pairs.sort_unstable();
    for (out, pair) in out.iter_mut().zip(pairs) {
        *out = place(pair);
    }
}

/// The elements of a tensor as keys.
pub(super) struct Keys<'a> {
    source: Wide<'a>,
    /// Whether the upper 32 bits decide the order.
    narrow: bool,
    /// What is added to an integer to make the smallest of its type 0.
    zero: i64,
}

enum Wide<'a> {
    Floats(Box<dyn Source<f64> + 'a>),
    Integers(Box<dyn Source<i64> + 'a>),
}

impl<'a> Keys<'a> {
    /// `x` is not `Bool` but its bytes.
    pub(super) fn of(x: &'a BitNetTensor) -> Result<Self> {
        let source = if x.dtype().is_float() {
            Wide::Floats(floats(x)?)
        } else {
            Wide::Integers(integers(x, Reading::Order)?)
        };
        let narrow = x.dtype().size_in_bytes() != Some(8);
        let zero = match narrow {
            false => i64::MIN,
            true if x.dtype().is_signed_integer() => 1 << 31,
            true => 0,
        };
        Ok(Self { source, narrow, zero })
    }

    /// Fills `keys` with those of the elements of `side`, displaced.
    pub(super) fn read(&self, side: &Side, displacement: isize, keys: &mut Vec<u64>) {
        self.read_some(side, displacement, 0..side.count, keys);
    }

    /// [`read`](Self::read) of a range of the elements.
    pub(super) fn read_some(
        &self,
        side: &Side,
        displacement: isize,
        range: Range<usize>,
        keys: &mut Vec<u64>,
    ) {
        keys.clear();
        match &self.source {
            Wide::Floats(source) => {
                read(&**source, side, displacement, range, keys, |x| float_key(x, self.narrow));
            }
            Wide::Integers(source) => {
                let shift = if self.narrow { 32 } else { 0 };
                read(&**source, side, displacement, range, keys, |x| {
                    (x.wrapping_add(self.zero) as u64) << shift
                });
            }
        }
    }
}

fn read<W: Copy + Default>(
    source: &dyn Source<W>,
    side: &Side,
    displacement: isize,
    range: Range<usize>,
    keys: &mut Vec<u64>,
    key: impl Fn(W) -> u64,
) {
    let mut buffer = [W::default(); 256];
    for at in range.clone().step_by(256) {
        let block = &mut buffer[..256.min(range.end - at)];
        source.read(&side.spans, displacement, at, block);
        keys.extend(block.iter().map(|&x| key(x)));
    }
}

/// The bits of a float, changed so that they are in its order as an unsigned number.
fn float_key(x: f64, narrow: bool) -> u64 {
    if x.is_nan() {
        return u64::MAX;
    }
    let x = x + 0.0; // −0 becomes 0
    if narrow {
        let bits = (x as f32).to_bits();
        let key = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        return u64::from(key) << 32;
    }
    let bits = x.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Elements of the rows of `x` in the order of `places`, `count` of each.
struct Rows<'a> {
    lines: &'a Side,
    line: &'a Side,
    offset: usize,
    places: &'a [i64],
    count: usize,
}

impl Rows<'_> {
    fn take<T: Element + bytemuck::Pod>(
        &self,
        x: &BitNetTensor,
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let data = x.host_data::<T>()?;
        let rows_at_once = (GRAIN / self.count).max(1);
        let grain = rows_at_once * self.count;
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, grain, |chunk, out| {
            let places = self.places[chunk * grain..].chunks_exact(self.count);
            for (i, (out, places)) in out.chunks_exact_mut(self.count).zip(places).enumerate() {
                let start = self.lines.displacement(chunk * rows_at_once + i);
                for (out, &place) in out.iter_mut().zip(places) {
                    let distance = start + self.line.displacement(place as usize);
                    *out = data[self.offset.wrapping_add_signed(distance)];
                }
            }
        });
        Ok(())
    }
}
