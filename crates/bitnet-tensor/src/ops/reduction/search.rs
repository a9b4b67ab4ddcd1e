//! Where numbers belong in an order.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail, error};
use crate::ops::{Operand, OperandTypes, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// The index in a sorted line at which each value could be inserted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchSorted {
    /// Whether behind equal elements instead of before them.
    pub right: bool,
}

impl Operation for SearchSorted {
    fn name(&self) -> &'static str {
        "searchsorted"
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let (sorted, values) = (inputs[0].dtype(), inputs[1].dtype());
        let common = sorted.promote(values).filter(|dtype| !dtype.is_packed());
        match common {
            Some(dtype) => Ok(Some(smallvec![dtype, dtype])),
            None => Err(error!(
                DTypeMismatch,
                self.name(),
                inputs,
                "{sorted} and {values} have no common type: cast with to_dtype first"
            )),
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (sorted, values) = (inputs[0], inputs[1]);
        let fits = match (sorted.shape().split_last(), values.shape().split_last()) {
            (None, _) => false,
            (Some((_, [])), _) => true,
            (Some((_, leading)), Some((_, other))) => leading == other,
            (Some(_), None) => false,
        };
        if !fits {
            bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "takes [n] and any shape, or [.., n] and [.., m] with the same leading axes"
            );
        }
        Ok(smallvec![TensorSpec::new(values.shape(), BitNetDType::I64)])
    }
}

/// # Searching
impl BitNetTensor {
    /// The index at which each of `values` could be inserted into this sorted tensor, `I64`: before
    /// equal elements, or behind them with `right`. One line `[n]` serves values of any shape;
    /// lines `[.., n]` serve the rows of values `[.., m]`. NaN is larger than every number. Of
    /// elements that are not sorted the result is some index.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let edges = BitNetTensor::from_vec(vec![1.0f32, 2.0, 4.0], [3])?;
    /// let x = BitNetTensor::from_vec(vec![0.5f32, 2.0, 9.0], [3])?;
    /// assert_eq!(edges.searchsorted(&x, false)?.to_vec::<i64>()?, [0, 1, 3]);
    /// assert_eq!(edges.searchsorted(&x, true)?.to_vec::<i64>()?, [0, 2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when the leading axes differ or this is a scalar, `DTypeMismatch` when the
    /// types have no common one.
    pub fn searchsorted(&self, values: impl Operand, right: bool) -> Result<Self> {
        let values = values.beside("searchsorted", self)?;
        apply_one(SearchSorted { right }, &[self, &values])
    }
}
