//! Axes and elements in another arrangement, said with views, joining and choosing.

use crate::backend::dispatch::{apply_reusing, composed};
use crate::error::{Result, bail};
use crate::ops::{AxisSlice, SliceScatter};
use crate::shape::{count, resolve_axis};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// What stands beyond the edges that [`BitNetTensor::pad`] adds to.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum PadMode {
    /// This number.
    Constant(f64),
    /// The elements mirrored at the edge, without the edge itself.
    Reflect,
    /// The element at the edge.
    Edge,
    /// The elements from the other end.
    Wrap,
}

/// # Arrangements of axes
impl BitNetTensor {
    fn axes(&self, name: &'static str, axes: &[isize]) -> Result<Vec<usize>> {
        let mut resolved = Vec::with_capacity(axes.len());
        for &axis in axes {
            match resolve_axis(axis, self.rank()) {
                Some(axis) if !resolved.contains(&axis) => resolved.push(axis),
                Some(_) => bail!(ShapeMismatch, name, &[self], "axis {axis} is named twice"),
                None => bail!(ShapeMismatch, name, &[self], "there is no axis {axis}"),
            }
        }
        Ok(resolved)
    }

    /// A view with `axis` moved to `place`; the others keep their order.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([2, 3, 4], BitNetDType::F32)?;
    /// assert_eq!(*x.movedim(0, -1)?.shape(), [3, 4, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist.
    pub fn movedim(&self, axis: isize, place: isize) -> Result<Self> {
        self.movedims(&[axis], &[place])
    }

    /// A view with `axes` moved to `places`; the others keep their order.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([2, 3, 4], BitNetDType::F32)?;
    /// assert_eq!(*x.movedims(&[2, 1], &[0, 1])?.shape(), [4, 3, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, or lists of different
    /// lengths.
    pub fn movedims(&self, axes: &[isize], places: &[isize]) -> Result<Self> {
        let (from, to) = (self.axes("movedim", axes)?, self.axes("movedim", places)?);
        if from.len() != to.len() {
            bail!(ShapeMismatch, "movedim", &[self], "{axes:?} and {places:?} differ in length");
        }
        let mut rest = (0..self.rank()).filter(|axis| !from.contains(axis));
        let order: Vec<isize> = (0..self.rank())
            .filter_map(|place| match to.iter().position(|&at| at == place) {
                Some(n) => Some(from[n]),
                None => rest.next(),
            })
            .map(|axis| axis as isize)
            .collect();
        self.permute(&order)
    }

    /// The axes from `first` to `last`, both included, as one: a view where the layout allows it.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([2, 3, 4], BitNetDType::F32)?;
    /// assert_eq!(*x.flatten(0, 1)?.shape(), [6, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for axes that do not exist or are in the wrong order.
    pub fn flatten(&self, first: usize, last: usize) -> Result<Self> {
        if first > last || last >= self.rank() {
            bail!(ShapeMismatch, "flatten", &[self], "there are no axes {first} to {last}");
        }
        let (before, after) = (&self.shape()[..first], &self.shape()[last + 1..]);
        let merged = count(&self.shape()[first..=last]);
        self.reshape([before, &[merged], after].concat())
    }

    /// The same elements under a shape of which one size may be −1: it is what the others leave.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([2, 3, 4], BitNetDType::F32)?;
    /// assert_eq!(*x.view_as(&[-1, 4])?.shape(), [6, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when the elements do not fill the shape, or the size cannot be told.
    pub fn view_as(&self, sizes: &[isize]) -> Result<Self> {
        let wrong = || {
            crate::error::error!(
                ShapeMismatch,
                "reshape",
                &[self],
                "the elements do not fill {sizes:?}"
            )
        };
        let known: Vec<usize> = sizes.iter().filter_map(|&n| usize::try_from(n).ok()).collect();
        let missing = sizes.len() - known.len();
        if missing > 1 || sizes.iter().any(|&size| size < -1) {
            return Err(wrong());
        }
        let product = TensorShape::from(known).checked_element_count().ok_or_else(wrong)?;
        let rest = match (missing, product) {
            (0, _) => 0,
            (_, 0) => return Err(wrong()),
            (_, product) => self.element_count() / product,
        };
        let size = |&size: &isize| usize::try_from(size).unwrap_or(rest);
        self.reshape(sizes.iter().map(size).collect::<TensorShape>())
    }

    /// A view without the axes of size one.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([1, 3, 1], BitNetDType::F32)?;
    /// assert_eq!(*x.squeeze_all()?.shape(), [3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights.
    pub fn squeeze_all(&self) -> Result<Self> {
        self.reshape(self.shape().iter().copied().filter(|&n| n != 1).collect::<TensorShape>())
    }

    /// A view with the elements of `axes` in the opposite order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2, 3])?;
    /// assert_eq!(x.flip(&[0])?.to_vec::<u32>()?, [3, 2, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice.
    pub fn flip(&self, axes: &[isize]) -> Result<Self> {
        let mut flipped = self.clone();
        for axis in self.axes("flip", axes)? {
            let size = self.shape()[axis];
            flipped = flipped.slice(axis as isize, size.saturating_sub(1), size, -1)?;
        }
        Ok(flipped)
    }

    /// The elements moved along `axes` by `shifts`, those that leave at one end entering at the other.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2, 3])?;
    /// assert_eq!(x.roll(&[1], &[0])?.to_vec::<u32>()?, [3, 1, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, or lists of different lengths.
    pub fn roll(&self, shifts: &[isize], axes: &[isize]) -> Result<Self> {
        composed("roll", &[self], || {
            if shifts.len() != axes.len() {
                bail!(ShapeMismatch, "roll", &[self], "{shifts:?} and {axes:?} differ in length");
            }
            let mut rolled = self.clone();
            for (&shift, &axis) in shifts.iter().zip(axes) {
                let axis = rolled.axes("roll", &[axis])?[0];
                let size = rolled.shape()[axis];
                if size == 0 {
                    continue;
                }
                let shift = shift.rem_euclid(size as isize) as usize;
                let axis = axis as isize;
                let (front, back) = (
                    rolled.narrow(axis, 0, size - shift)?,
                    rolled.narrow(axis, size - shift, shift)?,
                );
                rolled = Self::cat(&[&back, &front], axis)?;
            }
            Ok(rolled)
        })
    }

    /// The tensor repeated `repeats` times along each axis, as NumPy's `tile`; with more repeats than
    /// axes it gets leading ones.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2])?;
    /// assert_eq!(x.tile(&[2, 2])?.to_vec::<u32>()?, [1, 2, 1, 2, 1, 2, 1, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` when the result is too large, `MemoryError`.
    pub fn tile(&self, repeats: &[usize]) -> Result<Self> {
        composed("tile", &[self], || {
            let rank = self.rank().max(repeats.len());
            let from_end = |list: &[usize], axis: usize| {
                (axis + list.len()).checked_sub(rank).map_or(1, |own| list[own])
            };
            let sizes: Vec<(usize, usize)> = (0..rank)
                .map(|axis| (from_end(repeats, axis), from_end(self.shape(), axis)))
                .collect();
            let apart: TensorShape = sizes.iter().flat_map(|&(_, size)| [1, size]).collect();
            let repeated: TensorShape = sizes.iter().flat_map(|&(n, size)| [n, size]).collect();
            let tiled: TensorShape =
                sizes.iter().map(|&(n, size)| n.saturating_mul(size)).collect();
            self.reshape(apart)?.expand(repeated)?.reshape(tiled)
        })
    }

    /// Each element of `axis` repeated `count` times in a row.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2])?;
    /// assert_eq!(x.repeat_interleave(2, 0)?.to_vec::<u32>()?, [1, 1, 2, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist; `InvalidTensor` when the result is too large.
    pub fn repeat_interleave(&self, count: usize, axis: isize) -> Result<Self> {
        composed("repeat_interleave", &[self], || {
            let axis = self.axes("repeat_interleave", &[axis])?[0];
            let wide = self.unsqueeze(axis as isize + 1)?;
            wide.expand(wide.shape().with_size(axis + 1, count))?.flatten(axis, axis + 1)
        })
    }

    /// The tensor with `widths` (before, after) more elements along each axis.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::PadMode};
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0, 3.0])?;
    /// assert_eq!(x.pad(&[(1, 1)], PadMode::Reflect)?.to_vec::<f32>()?, [2.0, 1.0, 2.0, 3.0, 2.0]);
    /// assert_eq!(x.pad(&[(0, 1)], PadMode::Constant(9.0))?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 9.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless there is a pair for each axis, and for an empty axis to be continued;
    /// `InvalidTensor` when the result is too large.
    pub fn pad(&self, widths: &[(usize, usize)], mode: PadMode) -> Result<Self> {
        composed("pad", &[self], || {
            if widths.len() != self.rank() {
                bail!(ShapeMismatch, "pad", &[self], "{widths:?} are not a pair for each axis");
            }
            let PadMode::Constant(value) = mode else {
                return self.pad_with_own(widths, mode);
            };
            let padded: TensorShape = self
                .shape()
                .iter()
                .zip(widths)
                .map(|(size, (before, after))| size.saturating_add(*before).saturating_add(*after))
                .collect();
            let slices = self.shape().iter().zip(widths);
            let slices =
                slices.map(|(&length, &(start, _))| AxisSlice { start, length, step: 1 }).collect();
            let filled = self.scalar_like(value)?.expand(padded)?.copy()?;
            apply_reusing(SliceScatter { slices }, filled, &[self])
        })
    }

    fn pad_with_own(&self, widths: &[(usize, usize)], mode: PadMode) -> Result<Self> {
        let mut padded = self.clone();
        for (axis, &(before, after)) in widths.iter().enumerate() {
            let size = self.shape()[axis] as i64;
            if (before, after) == (0, 0) {
                continue;
            }
            if size == 0 {
                bail!(ShapeMismatch, "pad", &[self], "axis {axis} is empty: nothing to repeat");
            }
            let place = |n: i64| match mode {
                PadMode::Edge => n.clamp(0, size - 1),
                PadMode::Wrap => n.rem_euclid(size),
                // There and back again: a period of 2 (size − 1).
                _ if size == 1 => 0,
                _ => {
                    let n = n.rem_euclid(2 * (size - 1));
                    n.min(2 * (size - 1) - n)
                }
            };
            let Some(end) = size.checked_add_unsigned(after as u64).filter(|&end| end < 1 << 40)
            else {
                bail!(InvalidTensor, "pad", &[self], "{widths:?} is too large");
            };
            let Some(start) = i64::try_from(before).ok().filter(|&start| start < 1 << 40) else {
                bail!(InvalidTensor, "pad", &[self], "{widths:?} is too large");
            };
            let places: Vec<i64> = (-start..end).map(place).collect();
            let places = Self::try_from(places)?.to_device(self.device())?;
            padded = padded.index_select(axis as isize, &places)?;
        }
        Ok(padded)
    }

    /// The lower triangle of the last two axes: zeros above the `k`-th diagonal.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.tril(0)?.to_vec::<f32>()?, [1.0, 0.0, 3.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for fewer than two axes.
    pub fn tril(&self, k: isize) -> Result<Self> {
        composed("tril", &[self], || {
            self.where_triangle("tril", |row, column| column <= row.saturating_add(k as i64))
        })
    }

    /// The upper triangle of the last two axes: zeros below the `k`-th diagonal.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.triu(0)?.to_vec::<f32>()?, [1.0, 2.0, 0.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for fewer than two axes.
    pub fn triu(&self, k: isize) -> Result<Self> {
        composed("triu", &[self], || {
            self.where_triangle("triu", |row, column| column >= row.saturating_add(k as i64))
        })
    }

    fn where_triangle(&self, name: &'static str, keep: impl Fn(i64, i64) -> bool) -> Result<Self> {
        let &[.., rows, columns] = &**self.shape() else {
            bail!(ShapeMismatch, name, &[self], "takes two or more axes");
        };
        let mask: Vec<bool> = (0..rows as i64)
            .flat_map(|row| (0..columns as i64).map(move |column| (row, column)))
            .map(|(row, column)| keep(row, column))
            .collect();
        let mask = Self::from_vec(mask, [rows, columns])?.to_device(self.device())?;
        let zero = Self::zeros([], self.dtype())?.to_device(self.device())?;
        mask.where_(self, &zero)
    }

    /// Views of `tensors`, each of one axis, expanded to the grid of all: the first counts the first
    /// axis, as NumPy's `meshgrid` with `indexing="ij"`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let (a, b) = (BitNetTensor::try_from(vec![1u32, 2])?, BitNetTensor::try_from(vec![3u32, 4])?);
    /// let grid = BitNetTensor::meshgrid(&[&a, &b])?;
    /// assert_eq!(grid[0].to_vec::<u32>()?, [1, 1, 2, 2]);
    /// assert_eq!(grid[1].to_vec::<u32>()?, [3, 4, 3, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless each has one axis.
    pub fn meshgrid(tensors: &[&Self]) -> Result<Vec<Self>> {
        if tensors.iter().any(|tensor| tensor.rank() != 1) {
            bail!(ShapeMismatch, "meshgrid", tensors, "takes tensors of one axis");
        }
        let shape: TensorShape = tensors.iter().map(|tensor| tensor.element_count()).collect();
        let expanded = |(axis, tensor): (usize, &&Self)| {
            let mut own = vec![1; tensors.len()];
            own[axis] = tensor.element_count();
            tensor.reshape(own)?.expand(shape.clone())
        };
        tensors.iter().enumerate().map(expanded).collect()
    }

    /// The indices of the elements that are not zero or false, in row-major order: `I64 [count,
    /// rank]`. The number of them is read back: this waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 2.0, 3.0, 0.0], [2, 2])?;
    /// assert_eq!(x.nonzero()?.to_vec::<i64>()?, [0, 1, 1, 0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights, `MemoryError`.
    pub fn nonzero(&self) -> Result<Self> {
        composed("nonzero", &[self], || {
            let truth = self.detach().to_dtype(BitNetDType::Bool)?.to_vec::<bool>()?;
            let places = truth.iter().enumerate().filter(|(_, set)| **set).map(|(n, _)| n);
            let mut indices = Vec::new();
            for place in places {
                let (start, mut rest) = (indices.len(), place);
                indices.resize(start + self.rank(), 0i64);
                for axis in (0..self.rank()).rev() {
                    indices[start + axis] = (rest % self.shape()[axis]) as i64;
                    rest /= self.shape()[axis];
                }
            }
            let count = truth.iter().filter(|set| **set).count();
            Self::from_vec(indices, [count, self.rank()])?.to_device(self.device())
        })
    }

    /// The elements where `mask` is true, in row-major order. The mask covers all axes, or the
    /// first ones: then whole slices are chosen. The number of them is read back.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.masked_select(&x.gt(1.5)?)?.to_vec::<f32>()?, [2.0, 3.0, 4.0]);
    /// let rows = BitNetTensor::try_from(vec![false, true])?;
    /// assert_eq!(*x.masked_select(&rows)?.shape(), [1, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the mask is `Bool`, `ShapeMismatch` when it does not fit the axes.
    pub fn masked_select(&self, mask: &Self) -> Result<Self> {
        composed("masked_select", &[self, mask], || {
            if mask.dtype() != BitNetDType::Bool {
                bail!(DTypeMismatch, "masked_select", &[self, mask], "the mask is bool");
            }
            if !self.shape().starts_with(mask.shape()) {
                bail!(
                    ShapeMismatch,
                    "masked_select",
                    &[self, mask],
                    "the mask is not of the first axes"
                );
            }
            let places = mask.reshape([mask.element_count()])?.nonzero()?.squeeze(-1)?;
            self.with_merged_axes(mask.rank())?.index_select(0, &places)
        })
    }
}
