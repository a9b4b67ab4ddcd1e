//! From a tensor to what a kernel is given: its buffer, and where its elements lie in it.

use bitnet_tensor::{BitNetTensor, ErrorContext, Layout, Result, Storage, TensorOpError};
use smallvec::{SmallVec, smallvec};

use crate::gpu::{Block, GpuBuffer};

/// Axes that a strided kernel can follow, after those that lie in a row have become one.
pub(crate) const AXES: usize = 8;

/// The buffer of a tensor of this device.
pub(crate) fn block(tensor: &BitNetTensor) -> Result<&Block> {
    block_of(tensor.storage())
}

/// The buffer that is the storage.
pub(crate) fn block_of(storage: &Storage) -> Result<&Block> {
    let buffer = match storage {
        Storage::Device(buffer) => buffer.as_any().downcast_ref::<GpuBuffer>(),
        _ => None,
    };
    buffer.and_then(GpuBuffer::block).ok_or_else(|| {
        let context = ErrorContext::new("gpu", &[], "the storage is another device's");
        TensorOpError::InternalError(context)
    })
}

/// Where the elements of a tensor in row-major order begin, when that is how they lie.
pub(crate) fn contiguous(tensor: &BitNetTensor) -> Option<u32> {
    tensor.is_contiguous().then(|| u32::try_from(tensor.layout().offset()).ok()).flatten()
}

/// Elements of a tensor as a number that kernels can count to.
pub(crate) fn count(tensor: &BitNetTensor) -> Option<u32> {
    u32::try_from(tensor.element_count()).ok().filter(|&count| count < 1 << 31)
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
        let word = |step: isize| i32::try_from(step).ok().map(|step| step as u32);
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
        let &[rows, columns] = &**matrix.shape() else { return None };
        Some(Self {
            shape: smallvec![u32::try_from(rows).ok()?],
            strides: smallvec![smallvec![u32::try_from(columns).ok()?]],
            offsets: smallvec![u32::try_from(matrix.offset()).ok()?],
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
