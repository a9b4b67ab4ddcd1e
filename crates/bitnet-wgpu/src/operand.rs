//! From a tensor to what a kernel is given: its buffer, and where its elements lie in it.

use std::sync::Arc;

use bitnet_tensor::{BitNetTensor, Layout, Result};
use smallvec::{SmallVec, smallvec};

use crate::gpu::{Block, GpuBuffer, Params};

/// Axes that a strided kernel can follow, after those that lie in a row have become one.
pub(crate) const AXES: usize = 8;

/// The buffer of a tensor of this device.
pub(crate) fn block(tensor: &BitNetTensor) -> Result<&Arc<Block>> {
    GpuBuffer::of(tensor.storage()).map(GpuBuffer::block)
}

/// Where the elements of a tensor in row-major order begin, when that is how they lie.
pub(crate) fn contiguous(tensor: &BitNetTensor) -> Option<u32> {
    tensor.is_contiguous().then(|| u32::try_from(tensor.layout().offset()).ok()).flatten()
}

/// Elements of a tensor as a number that kernels can count to.
pub(crate) fn count(tensor: &BitNetTensor) -> Option<u32> {
    u32::try_from(tensor.element_count()).ok().filter(|&count| count < 1 << 31)
}

/// A step between elements, as a kernel adds it: negative ones wrap around.
fn word(step: isize) -> Option<u32> {
    i32::try_from(step).ok().map(|step| step as u32)
}

/// The offset and the strides of a tensor of at most `N` axes, the others 0.
pub(crate) fn strides<const N: usize>(tensor: &BitNetTensor) -> Option<(u32, [u32; N])> {
    let layout = tensor.layout();
    let mut strides = [0; N];
    for (own, &step) in strides.iter_mut().zip(layout.strides()) {
        *own = word(step)?;
    }
    Some((u32::try_from(layout.offset()).ok()?, strides))
}

/// The stride of an axis; negative axes count from the last.
pub(crate) fn stride(tensor: &BitNetTensor, axis: isize) -> Option<u32> {
    let axis = if axis < 0 { axis + tensor.rank() as isize } else { axis };
    word(*tensor.layout().strides().get(usize::try_from(axis).ok()?)?)
}

/// How an operand is stepped through: where it begins, and a stride for each axis of the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Steps {
    offset: usize,
    strides: SmallVec<[isize; AXES]>,
}

impl Steps {
    /// Those of `layout`, broadcast to `shape`.
    pub(crate) fn through(layout: &Layout, shape: &[usize]) -> Self {
        let stride_of = |axis: usize| {
            let own = (axis + layout.shape().rank()).checked_sub(shape.len());
            match own {
                Some(own) if layout.shape()[own] != 1 => layout.strides()[own],
                _ => 0,
            }
        };
        Self { offset: layout.offset(), strides: (0..shape.len()).map(stride_of).collect() }
    }

    /// Those of a tensor of `shape` in row-major order.
    pub(crate) fn in_a_row(shape: &[usize]) -> Self {
        let after = |axis: usize| shape[axis + 1..].iter().product::<usize>() as isize;
        Self { offset: 0, strides: (0..shape.len()).map(after).collect() }
    }

    /// From element `start` of an axis on, in steps of `step` elements.
    pub(crate) fn slice(mut self, axis: usize, start: usize, step: isize) -> Option<Self> {
        let stride = self.strides.get_mut(axis)?;
        self.offset = self.offset.checked_add_signed(stride.checked_mul(start as isize)?)?;
        *stride = stride.checked_mul(step)?;
        Some(self)
    }

    /// The same, standing still along an axis.
    pub(crate) fn still(mut self, axis: usize) -> Option<Self> {
        *self.strides.get_mut(axis)? = 0;
        Some(self)
    }

    /// The same within `outer` and `inner` axes more along which it stands still.
    pub(crate) fn within(mut self, outer: usize, inner: usize) -> Self {
        self.strides = std::iter::repeat_n(0, outer)
            .chain(self.strides)
            .chain(std::iter::repeat_n(0, inner))
            .collect();
        self
    }

    /// The same with axis `at` replaced by `count` axes along which it stands still.
    pub(crate) fn replaced(mut self, at: usize, count: usize) -> Self {
        let behind: SmallVec<[isize; AXES]> = self.strides.drain(at..).skip(1).collect();
        self.strides.extend(std::iter::repeat_n(0, count).chain(behind));
        self
    }

    /// The same with every element in two words, the last axis being the words of an element.
    pub(crate) fn in_words(mut self) -> Option<Self> {
        self.offset = self.offset.checked_mul(2)?;
        for stride in &mut self.strides {
            *stride = stride.checked_mul(2)?;
        }
        self.strides.push(1);
        Some(self)
    }
}

/// A walk over several tensors in step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strided {
    shape: SmallVec<[u32; AXES]>,
    /// For each operand a stride for each axis; negative ones wrap around, as the additions of
    /// kernels do.
    strides: SmallVec<[SmallVec<[u32; AXES]>; 4]>,
    offsets: SmallVec<[u32; 4]>,
}

impl Strided {
    /// The walk over `shape` in row-major order, with `operands` broadcast to it. `None` when a
    /// kernel cannot follow it: more axes, or more elements, than it can count.
    pub(crate) fn over(shape: &[usize], operands: &[&Layout]) -> Option<Self> {
        let operands: SmallVec<[Steps; 4]> =
            operands.iter().map(|layout| Steps::through(layout, shape)).collect();
        Self::along_steps(shape, &operands)
    }

    /// The walk over `shape` with each operand in steps of its own.
    pub(crate) fn along_steps(shape: &[usize], operands: &[Steps]) -> Option<Self> {
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        if count >= 1 << 31 {
            return None;
        }
        let mut sizes: SmallVec<[usize; AXES]> = SmallVec::new();
        let mut strides: SmallVec<[SmallVec<[isize; AXES]>; 4]> =
            operands.iter().map(|_| SmallVec::new()).collect();
        for (axis, &size) in shape.iter().enumerate().filter(|&(_, &size)| size != 1) {
            let steps: SmallVec<[isize; 4]> =
                operands.iter().map(|operand| operand.strides[axis]).collect();
            // An axis that goes on where the one before it steps to is the same axis.
            let continues = !sizes.is_empty()
                && strides.iter().zip(&steps).all(|(before, &step)| {
                    before.last().copied() == step.checked_mul(size as isize)
                });
            match sizes.last_mut().filter(|_| continues) {
                Some(last) => {
                    *last *= size;
                    strides.iter_mut().zip(&steps).for_each(|(before, &step)| {
                        before.pop();
                        before.push(step);
                    });
                }
                None => {
                    sizes.push(size);
                    strides.iter_mut().zip(&steps).for_each(|(before, &step)| before.push(step));
                }
            }
        }
        if sizes.is_empty() {
            sizes.push(1);
            strides.iter_mut().for_each(|before| before.push(0));
        }
        if sizes.len() > AXES {
            return None;
        }
        Some(Self {
            shape: sizes.iter().map(|&size| u32::try_from(size).ok()).collect::<Option<_>>()?,
            strides: strides
                .iter()
                .map(|steps| steps.iter().map(|&step| word(step)).collect::<Option<_>>())
                .collect::<Option<_>>()?,
            offsets: operands
                .iter()
                .map(|operand| u32::try_from(operand.offset).ok())
                .collect::<Option<_>>()?,
        })
    }

    /// The walk over the first elements of the rows of a matrix.
    pub(crate) fn rows_of(matrix: &Layout) -> Option<Self> {
        Self::along(matrix, 0)
    }

    /// The walk over its first row.
    pub(crate) fn row_of(matrix: &Layout) -> Option<Self> {
        Self::along(matrix, 1)
    }

    fn along(layout: &Layout, axis: usize) -> Option<Self> {
        Some(Self {
            shape: smallvec![u32::try_from(layout.shape()[axis]).ok()?],
            strides: smallvec![smallvec![word(layout.strides()[axis])?]],
            offsets: smallvec![u32::try_from(layout.offset()).ok()?],
        })
    }

    /// The distance between neighbours in the first operand.
    pub(crate) fn last_step(&self) -> u32 {
        self.strides[0].last().copied().unwrap_or(0)
    }

    /// Axes, for a kernel that is compiled for as many; [`AXES`] serves every walk.
    pub(crate) fn rank(&self) -> u32 {
        self.shape.len() as u32
    }

    /// As `strided.wgsl` reads it, from the parameter after those in `params` on: an offset for each
    /// operand, the shape, then the strides of each.
    pub(crate) fn write(&self, params: &mut Params) {
        params.extend_from_slice(&self.offsets);
        // What is behind the last axis changes nothing: kernels may count all of them.
        let axes = |values: &[u32], rest: u32| {
            let mut axes = [rest; AXES];
            axes[..values.len()].copy_from_slice(values);
            axes
        };
        params.extend_from_slice(&axes(&self.shape, 1));
        self.strides.iter().for_each(|steps| params.extend_from_slice(&axes(steps, 0)));
    }
}

/// The workgroups of `size` threads that `threads` threads need, in two dimensions where one has not
/// as many as an adapter allows.
pub(crate) fn grid(threads: u32, size: u32) -> [u32; 3] {
    const MOST: u32 = 65_535;
    let groups = threads.div_ceil(size);
    if groups <= MOST { [groups, 1, 1] } else { [MOST, groups.div_ceil(MOST), 1] }
}
