//! Slices and elements chosen by indices, and written where indices say.

use std::sync::atomic::{AtomicBool, Ordering};

use bitnet_kernels::elementwise::Element as Arithmetic;
use bitnet_kernels::parallel;

use super::bits::{bits_as_they_are, with_bits_mut};
use super::convert::copy;
use crate::cpu::GRAIN;
use crate::dtype::Number;
use crate::error::{Result, error};
use crate::layout::Layout;
use crate::ops::ScatterKind;
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor};

/// Indices in row-major order, each inside of its axis.
pub(in crate::cpu) enum Places {
    /// An `I64` tensor as it is.
    Given(BitNetTensor),
    /// Of another type, or counted from the front instead of the end.
    Computed(Vec<i64>),
}

impl Places {
    pub(in crate::cpu) fn as_slice(&self) -> Result<&[i64]> {
        match self {
            Self::Given(tensor) => tensor.as_slice(),
            Self::Computed(places) => Ok(places),
        }
    }
}

/// The indices, each inside of `size`: negative ones counted from the end.
pub(in crate::cpu) fn resolved(
    name: &'static str,
    operands: &[&BitNetTensor],
    indices: &BitNetTensor,
    axis: usize,
    size: usize,
) -> Result<Places> {
    let indices = indices.contiguous()?;
    let places = if indices.dtype() == BitNetDType::U32 {
        Places::Computed(indices.as_slice::<u32>()?.iter().map(|&index| index.into()).collect())
    } else {
        Places::Given(indices)
    };
    let numbers = places.as_slice()?;
    let (outside, negative) = (AtomicBool::new(false), AtomicBool::new(false));
    parallel::for_each(numbers.len(), GRAIN, |range| {
        let (mut low, mut high) = (0, -1);
        for &index in &numbers[range] {
            low = Ord::min(low, index);
            high = Ord::max(high, index);
        }
        negative.fetch_or(low < 0, Ordering::Relaxed);
        let inside = low >= -(size as i64) && high < size as i64;
        outside.fetch_or(!inside, Ordering::Relaxed);
    });
    if outside.into_inner() {
        let is_outside = |&n: &i64| n < -(size as i64) || n >= size as i64;
        let n = numbers.iter().position(is_outside).unwrap_or(0);
        return Err(error!(
            ComputationError,
            name,
            operands,
            "index {}, element {n} of the indices, is outside of axis {axis} of size {size}",
            numbers[n]
        ));
    }
    if negative.into_inner() {
        let from_front = |&index: &i64| if index < 0 { index + size as i64 } else { index };
        return Ok(Places::Computed(numbers.iter().map(from_front).collect()));
    }
    Ok(places)
}

pub(in crate::cpu) fn index_select(
    axis: usize,
    x: &BitNetTensor,
    indices: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    fn typed<T: Number>(
        axis: usize,
        x: &BitNetTensor,
        places: &[i64],
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let (size, inner) = (x.shape()[axis], count(&x.shape()[axis + 1..]));
        let x = x.as_slice::<T>()?;
        if out.element_count() == 0 {
            return Ok(());
        }
        let grain = (GRAIN / inner).max(1);
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, grain * inner, |piece, chunk| {
            for (n, out) in chunk.chunks_exact_mut(inner).enumerate() {
                let row = piece * grain + n;
                let (outer, place) = (row / places.len(), places[row % places.len()] as usize);
                out.copy_from_slice(&x[(outer * size + place) * inner..][..inner]);
            }
        });
        Ok(())
    }
    let places = resolved("index_select", &[x, indices], indices, axis, x.shape()[axis])?;
    let x = bits_as_they_are(&x.contiguous()?);
    with_bits_mut!(out, T => typed::<T>(axis, &x, places.as_slice()?, out))
}

/// Calls `row(n, base)` for each row of `shape` along its last axis, of which there are `rows`: `n`
/// is its first element's place in row-major order, `base` where a layout has it, were the index
/// along `axis` zero.
fn for_each_row(
    layout: &Layout,
    shape: &[usize],
    axis: usize,
    rows: std::ops::Range<usize>,
    mut row: impl FnMut(usize, isize),
) {
    let (outer, inner) = shape.split_at(shape.len().saturating_sub(1));
    let length = inner.first().copied().unwrap_or(1);
    for n in rows {
        let (mut rest, mut base) = (n, layout.offset() as isize);
        for at in (0..outer.len()).rev() {
            if at != axis {
                base += (rest % outer[at]) as isize * layout.strides()[at];
            }
            rest /= outer[at];
        }
        row(n * length, base);
    }
}

/// The strides along the last axis of the indices and along `axis`: where the element is that the
/// index `place` names in column `column`.
fn steps(layout: &Layout, axis: usize) -> [isize; 2] {
    let last = layout.shape().rank().saturating_sub(1);
    let stride = |axis: usize| layout.strides().get(axis).copied().unwrap_or(0);
    [if axis == last { 0 } else { stride(last) }, stride(axis)]
}

pub(in crate::cpu) fn gather(
    axis: usize,
    x: &BitNetTensor,
    index: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    fn typed<T: Number>(
        axis: usize,
        x: &BitNetTensor,
        places: &[i64],
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let shape = out.shape().clone();
        let length = shape.last().copied().unwrap_or(1);
        if places.is_empty() {
            return Ok(());
        }
        let size = x.shape().get(axis).copied().unwrap_or(1);
        let (layout, data) = (x.layout(), x.host_data::<T>()?);
        let [along_row, along_axis] = steps(layout, axis);
        let grain = (GRAIN / length).max(1);
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, grain * length, |piece, chunk| {
            let first = piece * grain;
            let rows = first..first + chunk.len() / length;
            for_each_row(layout, &shape, axis, rows, |n, base| {
                let out = &mut chunk[n - first * length..][..length];
                let places = &places[n..][..length];
                if [along_row, along_axis] == [0, 1] {
                    let line = &data[base as usize..][..size];
                    return out.iter_mut().zip(places).for_each(|(o, &p)| *o = line[p as usize]);
                }
                for (column, (out, &place)) in out.iter_mut().zip(places).enumerate() {
                    let at = base + column as isize * along_row + place as isize * along_axis;
                    *out = data[at as usize];
                }
            });
        });
        Ok(())
    }
    let size = x.shape().get(axis).copied().unwrap_or(1);
    let places = resolved("gather", &[x, index], index, axis, size)?;
    let x = bits_as_they_are(x);
    with_bits_mut!(out, T => typed::<T>(axis, &x, places.as_slice()?, out))
}

pub(in crate::cpu) fn scatter(
    axis: usize,
    kind: ScatterKind,
    [target, index, source]: [&BitNetTensor; 3],
    out: &mut BitNetTensor,
) -> Result<()> {
    let name = match kind {
        ScatterKind::Assign => "scatter",
        ScatterKind::Add => "scatter_add",
        _ => "scatter_reduce",
    };
    let size = target.shape().get(axis).copied().unwrap_or(1);
    let places = resolved(name, &[target, index, source], index, axis, size)?;
    let places = places.as_slice()?;
    if kind == ScatterKind::Assign {
        copy(target, out)?;
        return assign(axis, places, index, source, out);
    }
    match target.dtype() {
        // Sums of many halves are rounded once.
        BitNetDType::F16 | BitNetDType::BF16 => {
            let wide = |x: &BitNetTensor| x.to_dtype(BitNetDType::F32);
            let (target, source) = (wide(target)?, wide(source)?);
            let mut sum = target.copy()?;
            arithmetic::<f32>(axis, kind, places, index, &source, &mut sum)?;
            crate::cpu::movement::cast(bitnet_kernels::Cpu::best(), &sum, out)
        }
        dtype => {
            copy(target, out)?;
            let source = source.contiguous()?;
            match dtype {
                BitNetDType::U8 => arithmetic::<u8>(axis, kind, places, index, &source, out),
                BitNetDType::U16 => arithmetic::<u16>(axis, kind, places, index, &source, out),
                BitNetDType::U32 => arithmetic::<u32>(axis, kind, places, index, &source, out),
                BitNetDType::U64 => arithmetic::<u64>(axis, kind, places, index, &source, out),
                BitNetDType::I8 => arithmetic::<i8>(axis, kind, places, index, &source, out),
                BitNetDType::I16 => arithmetic::<i16>(axis, kind, places, index, &source, out),
                BitNetDType::I32 => arithmetic::<i32>(axis, kind, places, index, &source, out),
                BitNetDType::I64 => arithmetic::<i64>(axis, kind, places, index, &source, out),
                BitNetDType::F64 => arithmetic::<f64>(axis, kind, places, index, &source, out),
                _ => arithmetic::<f32>(axis, kind, places, index, &source, out),
            }
        }
    }
}

/// [`scatter`] of kind `Assign` over its target, which stays as it is when an index is refused.
pub(in crate::cpu) fn scatter_in_place(
    axis: usize,
    target: &mut BitNetTensor,
    index: &BitNetTensor,
    source: &BitNetTensor,
) -> Result<()> {
    let size = target.shape().get(axis).copied().unwrap_or(1);
    let places = resolved("scatter", &[target, index, source], index, axis, size)?;
    assign(axis, places.as_slice()?, index, source, target)
}

fn assign(
    axis: usize,
    places: &[i64],
    index: &BitNetTensor,
    source: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let source = bits_as_they_are(&source.contiguous()?);
    with_bits_mut!(out, T => write(axis, places, index, &source, out, |_: T, new| new))
}

fn arithmetic<T: Number + Arithmetic>(
    axis: usize,
    kind: ScatterKind,
    places: &[i64],
    index: &BitNetTensor,
    source: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    match kind {
        ScatterKind::Add => write(axis, places, index, source, out, T::add),
        ScatterKind::Mul => write(axis, places, index, source, out, T::mul),
        ScatterKind::Max => write(axis, places, index, source, out, T::max),
        ScatterKind::Min => write(axis, places, index, source, out, T::min),
        ScatterKind::Assign => write(axis, places, index, source, out, |_: T, new| new),
    }
}

/// In row-major order of the indices, on one thread: several may name the same place.
fn write<T: Number>(
    axis: usize,
    places: &[i64],
    index: &BitNetTensor,
    source: &BitNetTensor,
    out: &mut BitNetTensor,
    meet: impl Fn(T, T) -> T,
) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let source = source.as_slice::<T>()?;
    let shape = index.shape().clone();
    let length = shape.last().copied().unwrap_or(1);
    let layout = out.layout().clone();
    let [along_row, along_axis] = steps(&layout, axis);
    let out = out.host_data_mut::<T>()?;
    for_each_row(&layout, &shape, axis, 0..places.len() / length, |n, base| {
        let row = places[n..][..length].iter().zip(&source[n..]);
        for (column, (&place, &new)) in row.enumerate() {
            let at = base + column as isize * along_row + place as isize * along_axis;
            let old = &mut out[at as usize];
            *old = meet(*old, new);
        }
    });
    Ok(())
}
