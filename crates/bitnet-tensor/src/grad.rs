//! Reverse-mode differentiation: a tape of the operations that led to a tensor.
//!
//! A tensor that takes part carries a node with its operation and operands. Without such a
//! tensor among the operands nothing is recorded and nothing is spent.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use crate::error::{Result, bail};
use crate::ops::{Derivative, Op, Outputs};
use crate::{BitNetTensor, TensorShape};

/// How a tensor came about. Identifiers grow with time, so operands have smaller ones.
pub(crate) struct GradNode {
    id: u64,
    origin: Option<Origin>,
}

struct Origin {
    op: Op,
    inputs: SmallVec<[BitNetTensor; 2]>,
    /// The results without their nodes, for rules that use them.
    outputs: Outputs,
    /// Which of them this node belongs to.
    position: usize,
}

impl GradNode {
    fn new(origin: Option<Origin>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self { id: NEXT.fetch_add(1, Relaxed), origin })
    }
}

/// A long chain of operations is dropped node by node: dropping each inside of the next would
/// use up the stack.
impl Drop for GradNode {
    fn drop(&mut self) {
        let mut open: Vec<Arc<GradNode>> = Vec::new();
        let take_inputs = |origin: Option<Origin>, open: &mut Vec<Arc<GradNode>>| {
            let inputs = origin.map(|origin| origin.inputs).unwrap_or_default();
            open.extend(inputs.into_iter().filter_map(|mut input| input.grad.take()));
        };
        take_inputs(self.origin.take(), &mut open);
        while let Some(node) = open.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                take_inputs(node.origin.take(), &mut open);
            }
        }
    }
}

/// Attaches nodes to `outputs` if an operand carries one.
pub(crate) fn record(op: &Op, inputs: &[&BitNetTensor], outputs: &mut Outputs) {
    if inputs.iter().all(|input| input.grad.is_none()) {
        return;
    }
    let results: Outputs = outputs.iter().map(BitNetTensor::detach).collect();
    for (position, output) in outputs.iter_mut().enumerate() {
        // Truth values and positions have no derivative: nothing leads through them.
        if !output.dtype().is_float() {
            continue;
        }
        let origin = Origin {
            op: op.clone(),
            inputs: inputs.iter().map(|&input| input.clone()).collect(),
            outputs: results.clone(),
            position,
        };
        output.grad = Some(GradNode::new(Some(origin)));
    }
}

/// The gradients of a scalar with respect to the tensors that led to it.
pub struct Gradients {
    by_node: HashMap<u64, BitNetTensor>,
}

impl Gradients {
    /// The gradient with respect to `tensor`: one made by [`BitNetTensor::with_grad`].
    pub fn get(&self, tensor: &BitNetTensor) -> Option<&BitNetTensor> {
        self.by_node.get(&tensor.grad.as_ref()?.id)
    }
}

impl fmt::Debug for Gradients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gradients of {} tensors", self.by_node.len())
    }
}

impl BitNetTensor {
    /// The same elements as a variable: gradients with respect to it are recorded.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::scalar(3.0f32)?.with_grad();
    /// let y = x.mul(&x)?;
    /// assert_eq!(y.backward()?.get(&x).unwrap().item::<f32>()?, 6.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn with_grad(&self) -> Self {
        let mut variable = self.detach();
        variable.grad = Some(GradNode::new(None));
        variable
    }

    /// Whether operations on this tensor are recorded.
    pub fn has_grad(&self) -> bool {
        self.grad.is_some()
    }

    /// The gradients of this scalar with respect to the variables that led to it.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::scalar(3.0f64)?.with_grad();
    /// let gradients = x.square()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().item::<f64>()?, 6.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` when this is not a scalar or nothing was recorded,
    /// `UnsupportedOperation` when an operation on the way has no derivative.
    pub fn backward(&self) -> Result<Gradients> {
        let Some(root) = self.grad.clone() else {
            bail!(InvalidTensor, "backward", &[self], "no operation was recorded");
        };
        if self.element_count() != 1 {
            bail!(InvalidTensor, "backward", &[self], "only a single element has a gradient");
        }
        let one = BitNetTensor::full(self.shape().clone(), 1.0f32)?
            .to_dtype(self.dtype())?
            .to_device(self.device())?;
        let mut leaves = HashMap::new();
        // Nodes in the order of their making: the latest is complete when it is taken.
        let mut open: BTreeMap<u64, (Arc<GradNode>, BitNetTensor)> = BTreeMap::new();
        open.insert(root.id, (root, one));
        while let Some((id, (node, gradient))) = open.pop_last() {
            let Some(origin) = &node.origin else {
                leaves.insert(id, gradient);
                continue;
            };
            let inputs: SmallVec<[BitNetTensor; 2]> =
                origin.inputs.iter().map(BitNetTensor::detach).collect();
            let inputs: SmallVec<[&BitNetTensor; 2]> = inputs.iter().collect();
            let context = Derivative {
                inputs: &inputs,
                outputs: &origin.outputs,
                position: origin.position,
                gradient: &gradient,
            };
            let gradients = origin.op.operation().backward(&context)?;
            for (input, gradient) in origin.inputs.iter().zip(gradients) {
                let (Some(node), Some(gradient)) = (&input.grad, gradient) else {
                    continue;
                };
                let sum = match open.remove(&node.id) {
                    Some((_, earlier)) => earlier.add(&gradient)?,
                    None => gradient,
                };
                open.insert(node.id, (node.clone(), sum));
            }
        }
        Ok(Gradients { by_node: leaves })
    }

    /// The sum over the axes along which `shape` was broadcast to this tensor's shape.
    pub(crate) fn sum_to(&self, shape: &TensorShape) -> Result<BitNetTensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let missing = self.rank() - shape.rank();
        let axes: Vec<isize> = (0..self.rank())
            .filter(|&axis| axis < missing || shape[axis - missing] != self.shape()[axis])
            .map(|axis| axis as isize)
            .collect();
        self.sum(&axes, true)?.reshape(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_can_be_dropped_and_differentiated() -> Result<()> {
        let x = BitNetTensor::scalar(1.0f32)?.with_grad();
        let mut y = x.clone();
        for _ in 0..100_000 {
            y = y.add(&x)?;
        }
        let gradients = y.backward()?;
        assert_eq!(gradients.get(&x).map(|g| g.item::<f32>()), Some(Ok(100_001.0)));
        Ok(())
    }
}
