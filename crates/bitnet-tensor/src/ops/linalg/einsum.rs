//! Einstein's summation: products of tensors summed over the subscripts that the result has not.
//!
//! Two operands at a time: the pair with the fewest multiplications is next. A pair becomes a matrix
//! product, or an elementwise one where nothing is summed.

mod subscripts;

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::shape::count;
use crate::{BitNetTensor, TensorShape};
use subscripts::{Label, Subscripts};

/// An operand, each of whose axes has a label of its own.
struct Term {
    tensor: BitNetTensor,
    labels: Vec<Label>,
}

impl Term {
    /// The axis of this label.
    fn axis(&self, label: Label) -> Option<usize> {
        self.labels.iter().position(|other| *other == label)
    }

    /// With the diagonal in place of axes that share a label, and without axes that broadcast.
    fn new(tensor: &BitNetTensor, labels: &[Label], subscripts: &Subscripts) -> Result<Self> {
        let mut term = Self { tensor: tensor.clone(), labels: labels.to_vec() };
        while let Some((first, second)) = twice(&term.labels) {
            term.tensor = term.tensor.diagonal(0, first as isize, second as isize)?;
            let label = term.labels.remove(second);
            term.labels.remove(first);
            term.labels.push(label);
        }
        for axis in (0..term.labels.len()).rev() {
            if term.tensor.shape()[axis] == 1 && subscripts.size(term.labels[axis]) != 1 {
                term.tensor = term.tensor.squeeze(axis as isize)?;
                term.labels.remove(axis);
            }
        }
        Ok(term)
    }

    /// Summed over the labels that are not `needed`, in its own type.
    fn reduced(self, needed: impl Fn(Label) -> bool) -> Result<Self> {
        let kept: Vec<Label> = self.labels.iter().copied().filter(|x| needed(*x)).collect();
        if kept.len() == self.labels.len() {
            return Ok(self);
        }
        let labels = self.labels.iter().enumerate();
        let axes: Vec<isize> =
            labels.filter(|(_, x)| !needed(**x)).map(|(axis, _)| axis as isize).collect();
        let sum = self.tensor.sum(&axes, false)?.to_dtype(self.tensor.dtype())?;
        Ok(Self { tensor: sum, labels: kept })
    }

    /// Its axes in the order of `labels`, which are all of its own.
    fn ordered(&self, labels: &[Label]) -> Result<BitNetTensor> {
        let axes = labels.iter().filter_map(|label| self.axis(*label));
        let axes: Vec<isize> = axes.map(|axis| axis as isize).collect();
        match axes.is_sorted() {
            true => Ok(self.tensor.clone()),
            false => self.tensor.permute(&axes),
        }
    }

    /// Its axes in the order of `labels`, with axes of 1 for those that it has not.
    fn spread(&self, labels: &[Label]) -> Result<BitNetTensor> {
        let mut spread = self.ordered(labels)?;
        for (axis, label) in labels.iter().enumerate() {
            if self.axis(*label).is_none() {
                spread = spread.unsqueeze(axis as isize)?;
            }
        }
        Ok(spread)
    }

    /// The sizes of these axes.
    fn sizes(&self, labels: &[Label]) -> TensorShape {
        let axes = labels.iter().filter_map(|label| self.axis(*label));
        axes.map(|axis| self.tensor.shape()[axis]).collect()
    }

    /// The product with `other`, summed over the labels of both that are not `needed`.
    fn times(&self, other: &Self, needed: impl Fn(Label) -> bool) -> Result<Self> {
        let shared = |label: &Label| self.axis(*label).is_some() && other.axis(*label).is_some();
        let own = |term: &Self| -> Vec<Label> {
            term.labels.iter().copied().filter(|label| !shared(label)).collect()
        };
        let (left, right) = (own(self), own(other));
        let (batch, summed): (Vec<Label>, Vec<Label>) =
            self.labels.iter().filter(|label| shared(label)).partition(|label| needed(**label));
        let labels = [&batch[..], &left, &right].concat();
        if summed.is_empty() {
            let tensor = self.spread(&labels)?.mul(&other.spread(&labels)?)?;
            return Ok(Self { tensor, labels });
        }
        let (b, m, n) = (self.sizes(&batch), self.sizes(&left), other.sizes(&right));
        let k = count(&self.sizes(&summed));
        let rows = self.ordered(&[&batch[..], &left, &summed].concat())?;
        let columns = other.ordered(&[&batch[..], &summed, &right].concat())?;
        let product = rows.reshape([count(&b), count(&m), k])?.matmul(&columns.reshape([
            count(&b),
            k,
            count(&n),
        ])?)?;
        let shape: TensorShape = b.iter().chain(m.iter()).chain(n.iter()).copied().collect();
        Ok(Self { tensor: product.reshape(shape)?, labels })
    }
}

/// The first two places with the same label.
fn twice(labels: &[Label]) -> Option<(usize, usize)> {
    labels.iter().enumerate().find_map(|(second, label)| {
        let first = labels[..second].iter().position(|other| other == label)?;
        Some((first, second))
    })
}

/// The two terms whose product takes the fewest multiplications; the first of several.
fn cheapest(terms: &[Term], subscripts: &Subscripts) -> (usize, usize) {
    let mut best = (0, 1, f64::INFINITY);
    for second in 1..terms.len() {
        for first in 0..second {
            let (a, b) = (&terms[first], &terms[second]);
            let others = b.labels.iter().filter(|label| a.axis(**label).is_none());
            let all = a.labels.iter().chain(others);
            // In floating point: the product of many sizes may exceed any integer.
            let cost: f64 = all.map(|label| subscripts.size(*label) as f64).product();
            if cost < best.2 {
                best = (first, second, cost);
            }
        }
    }
    (best.0, best.1)
}

fn contract(operands: &[BitNetTensor], subscripts: &Subscripts) -> Result<BitNetTensor> {
    let mut terms: Vec<Term> = Vec::with_capacity(operands.len());
    for (operand, labels) in operands.iter().zip(&subscripts.inputs) {
        terms.push(Term::new(operand, labels, subscripts)?);
    }
    let output = &subscripts.output;
    // What only one operand has is summed before it is multiplied.
    for _ in operands {
        let term = terms.remove(0);
        let others = |label| terms.iter().any(|other| other.axis(label).is_some());
        let term = term.reduced(|label| output.contains(&label) || others(label))?;
        terms.push(term);
    }
    while terms.len() > 1 {
        let (first, second) = cheapest(&terms, subscripts);
        let b = terms.remove(second);
        let a = terms.remove(first);
        let needed = |label| {
            output.contains(&label) || terms.iter().any(|other| other.axis(label).is_some())
        };
        terms.push(a.times(&b, needed)?);
    }
    match terms.pop() {
        Some(term) => term.ordered(output),
        None => bail!(ShapeMismatch, "einsum", &[], "takes one or more operands"),
    }
}

/// # Matrix products
impl BitNetTensor {
    /// The product of `operands`, summed over every subscript that is not in the output.
    ///
    /// One letter names each axis, `...` those that are left and broadcast (so do axes of 1); a letter
    /// that an operand repeats means its diagonal. Without `->` the output has the axes of `...`, then
    /// the letters that occur once in alphabetical order. Types promote; integers wrap in their own
    /// type. The order of products is that of the fewest multiplications, step by step.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 10.0], [2])?;
    /// assert_eq!(BitNetTensor::einsum("ij,j->i", &[&a, &x])?.to_vec::<f32>()?, [21.0, 43.0]);
    /// assert_eq!(BitNetTensor::einsum("ii", &[&a])?.item::<f32>()?, 5.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` that names the wrong subscript; `DTypeMismatch` without a common type.
    pub fn einsum(specification: &str, operands: &[&Self]) -> Result<Self> {
        let subscripts = Subscripts::new(specification, operands)?;
        let common = operands[1..]
            .iter()
            .try_fold(operands[0].dtype(), |dtype, operand| dtype.promote(operand.dtype()));
        let Some(dtype) = common else {
            bail!(DTypeMismatch, "einsum", operands, "the operands have no common type");
        };
        composed("einsum", operands, || {
            let operands: Vec<Self> =
                operands.iter().map(|x| x.to_dtype(dtype)).collect::<Result<_>>()?;
            contract(&operands, &subscripts)
        })
    }
}
