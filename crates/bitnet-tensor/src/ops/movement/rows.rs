//! Rows written where positions say: how a key-value cache grows.

use smallvec::smallvec;

use crate::backend::dispatch::apply_in_place;
use crate::error::{Result, bail};
use crate::ops::{Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

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
            || target.dtype().is_packed()
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
    /// Writes `rows [batch, tokens, …]` into this `[batch, capacity, …]` at
    /// `positions U32 [batch, tokens]`, in place.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let mut cache = BitNetTensor::zeros([1, 3, 2], BitNetDType::F32)?;
    /// let positions = BitNetTensor::from_vec(vec![1u32], [1, 1])?;
    /// let rows = BitNetTensor::from_vec(vec![5.0f32, 6.0], [1, 1, 2])?;
    /// cache.write_rows(&positions, &rows)?;
    /// assert_eq!(cache.to_vec::<f32>()?, [0.0, 0.0, 5.0, 6.0, 0.0, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` when another tensor shares the storage; `ShapeMismatch`,
    /// `DTypeMismatch`; `ComputationError` for a position outside the capacity, before anything
    /// is written.
    pub fn write_rows(&mut self, positions: &Self, rows: &Self) -> Result<()> {
        apply_in_place(WriteRows, self, &[positions, rows])
    }
}
