//! Choosing, joining and writing rows.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_in_place, apply_one};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// Tensors one after the other along `axis`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cat {
    /// The axis, counted from the front.
    pub axis: usize,
}

impl Operation for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let first = inputs[0];
        let mut total = 0usize;
        for input in inputs {
            if input.dtype() != first.dtype() || input.dtype() == BitNetDType::Ternary {
                bail!(DTypeMismatch, self.name(), inputs, "the operands are not of one dense type");
            }
            let same = input.rank() == first.rank()
                && (0..first.rank())
                    .all(|axis| axis == self.axis || input.shape()[axis] == first.shape()[axis]);
            if !same {
                bail!(
                    ShapeMismatch,
                    self.name(),
                    inputs,
                    "sizes differ outside of axis {}",
                    self.axis
                );
            }
            match total.checked_add(input.shape()[self.axis]) {
                Some(sum) => total = sum,
                None => bail!(InvalidTensor, self.name(), inputs, "the result is too large"),
            }
        }
        Ok(smallvec![TensorSpec::new(first.shape().with_size(self.axis, total), first.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let mut start = 0;
        context
            .inputs
            .iter()
            .map(|input| {
                let length = input.shape()[self.axis];
                start += length;
                context.gradient.narrow(self.axis as isize, start - length, length).map(Some)
            })
            .collect()
    }
}

/// Rows of `[rows, …]` chosen by `U32` indices of any shape: `[indices…, …]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexSelect;

impl Operation for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }

    fn bytes(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        // Of the table only the chosen rows are read.
        Some((2 * outputs[0].byte_size() + inputs[1].byte_size()) as u64)
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (table, indices) = (inputs[0], inputs[1]);
        if indices.dtype() != BitNetDType::U32 {
            bail!(DTypeMismatch, self.name(), inputs, "indices are u32");
        }
        if table.rank() == 0 || table.dtype() == BitNetDType::Ternary {
            bail!(UnsupportedOperation, self.name(), inputs, "takes a dense tensor with rows");
        }
        let shape: TensorShape =
            indices.shape().iter().chain(&table.shape()[1..]).copied().collect();
        Ok(smallvec![TensorSpec::new(shape, table.dtype())])
    }
}

/// Rows written into a tensor in place: `target[b, positions[b, t]] = rows[b, t]` for
/// `target [batch, capacity, …]`, `positions U32 [batch, tokens]`, `rows [batch, tokens, …]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WriteRows;

impl Operation for WriteRows {
    fn name(&self) -> &'static str {
        "write_rows"
    }

    fn bytes(&self, inputs: &[&BitNetTensor], _: &[BitNetTensor]) -> Option<u64> {
        Some((inputs[1].byte_size() + 2 * inputs[2].byte_size()) as u64)
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (target, positions, rows) = (inputs[0], inputs[1], inputs[2]);
        if positions.dtype() != BitNetDType::U32
            || target.dtype() != rows.dtype()
            || target.dtype() == BitNetDType::Ternary
        {
            bail!(
                DTypeMismatch,
                self.name(),
                inputs,
                "takes dense rows of the target's type and u32 positions"
            );
        }
        let fits = target.rank() >= 2
            && rows.rank() == target.rank()
            && rows.shape()[0] == target.shape()[0]
            && rows.shape()[2..] == target.shape()[2..]
            && *positions.shape() == rows.shape()[..2];
        if !fits {
            bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "target is [batch, capacity, …], positions [batch, tokens], rows [batch, tokens, …]"
            );
        }
        Ok(smallvec![TensorSpec::new(target.shape(), target.dtype())])
    }

    fn works_in_place(&self) -> bool {
        true
    }
}

/// # Rows
impl BitNetTensor {
    /// `tensors` one after the other along `axis`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1u32, 2], [1, 2])?;
    /// let b = BitNetTensor::from_vec(vec![3u32, 4], [1, 2])?;
    /// assert_eq!(BitNetTensor::cat(&[&a, &b], 1)?.to_vec::<u32>()?, [1, 2, 3, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` for none, `ShapeMismatch`, `DTypeMismatch`.
    pub fn cat(tensors: &[&Self], axis: isize) -> Result<Self> {
        let Some(first) = tensors.first() else {
            bail!(InvalidTensor, "cat", tensors, "there is nothing to join");
        };
        let Some(axis) = resolve_axis(axis, first.rank()) else {
            bail!(ShapeMismatch, "cat", tensors, "there is no axis {axis}");
        };
        apply_one(Cat { axis }, tensors)
    }

    /// The rows of this `[rows, …]` that `indices` name: `[indices…, …]`. The lookup of token
    /// embeddings.
    ///
    /// # Errors
    /// `DTypeMismatch` unless indices are `U32`; `ComputationError` for an index out of range.
    pub fn index_select(&self, indices: &Self) -> Result<Self> {
        apply_one(IndexSelect, &[self, indices])
    }

    /// Writes `rows [batch, tokens, …]` into this `[batch, capacity, …]` at
    /// `positions U32 [batch, tokens]`, in place.
    ///
    /// # Errors
    /// `InvalidTensor` when another tensor shares the storage; `ShapeMismatch`,
    /// `DTypeMismatch`; `ComputationError` for a position outside the capacity, before anything
    /// is written.
    pub fn write_rows(&mut self, positions: &Self, rows: &Self) -> Result<()> {
        apply_in_place(WriteRows, self, &[positions, rows])
    }
}
