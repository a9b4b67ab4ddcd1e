//! From a tensor to what a kernel is given: its buffer, and where its elements lie in it.

use bitnet_tensor::{BitNetTensor, Layout, Result};
use smallvec::{SmallVec, smallvec};

use crate::gpu::{Block, GpuBuffer};

/// Axes that a strided kernel can follow, after those that lie in a row have become one.
pub(crate) const AXES: usize = 8;

/// The buffer of a tensor of this device.
pub(crate) fn block(tensor: &BitNetTensor) -> Result<&Block> {
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
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        if count >= 1 << 31 {
            return None;
        }
        let stride_of = |layout: &Layout, axis: usize| {
            let own = (axis + layout.shape().rank()).checked_sub(shape.len());
            match own {
                Some(own) if layout.shape()[own] != 1 => layout.strides()[own],
                _ => 0,
            }
        };
        let mut sizes: SmallVec<[usize; AXES]> = SmallVec::new();
        let mut strides: SmallVec<[SmallVec<[isize; AXES]>; 4]> =
            operands.iter().map(|_| SmallVec::new()).collect();
        for (axis, &size) in shape.iter().enumerate().filter(|&(_, &size)| size != 1) {
            let steps: SmallVec<[isize; 4]> =
                operands.iter().map(|layout| stride_of(layout, axis)).collect();
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
                .map(|layout| u32::try_from(layout.offset()).ok())
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

    pub(crate) fn rank(&self) -> u32 {
        self.shape.len() as u32
    }

    /// As `strided.wgsl` reads it, from the parameter after those in `params` on: an offset for each
    /// operand, the shape, then the strides of each.
    pub(crate) fn write(&self, params: &mut SmallVec<[u32; 64]>) {
        params.extend_from_slice(&self.offsets);
        let axes = |values: &[u32]| {
            let mut axes = [0; AXES];
            axes[..values.len()].copy_from_slice(values);
            axes
        };
        params.extend(axes(&self.shape));
        self.strides.iter().for_each(|steps| params.extend(axes(steps)));
    }
}

/// The workgroups of `size` threads that `threads` threads need, in two dimensions where one has not
/// as many as an adapter allows.
pub(crate) fn grid(threads: u32, size: u32) -> [u32; 3] {
    const MOST: u32 = 65_535;
    let groups = threads.div_ceil(size);
    if groups <= MOST { [groups, 1, 1] } else { [MOST, groups.div_ceil(MOST), 1] }
}
