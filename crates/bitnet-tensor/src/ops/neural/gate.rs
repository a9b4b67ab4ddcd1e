//! Gated activations: the middle of a gated feed-forward layer.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_out, composed};
use crate::error::{Result, bail};
use crate::ops::{
    Derivative, GateKind, OperandGradients, Operation, Outputs, Specs, TensorSpec, Unary, UnaryKind,
};
use crate::{BitNetDType, BitNetTensor};

/// `activation(gate) · up`, elementwise: the middle of a gated feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate(pub GateKind);

impl Operation for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (gate, up) = (inputs[0], inputs[1]);
        if gate.shape() != up.shape() {
            bail!(ShapeMismatch, self.name(), inputs, "gate and up have different shapes");
        }
        if gate.dtype() != BitNetDType::F32 || up.dtype() != BitNetDType::F32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        Ok(smallvec![TensorSpec::new(gate.shape(), gate.dtype())])
    }

    fn decompose(&self, inputs: &[&BitNetTensor]) -> Option<Result<Outputs>> {
        Some(gated(self.0, inputs[0], inputs[1]).map(|y| smallvec![y]))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        // The decomposition's parts know their derivatives.
        let kind = match self.0 {
            GateKind::ReluSquared => UnaryKind::ReluSquared,
            GateKind::Silu => UnaryKind::Silu,
        };
        let (gate, up, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let activation = apply_one(Unary(kind), &[gate])?;
        let inner = Derivative {
            inputs: &[gate],
            outputs: std::slice::from_ref(&activation),
            position: 0,
            gradient: &dy.mul(up)?,
        };
        let d_gate = Unary(kind).backward(&inner)?.pop().flatten();
        Ok(smallvec![d_gate, Some(dy.mul(&activation)?)])
    }
}

fn gated(kind: GateKind, gate: &BitNetTensor, up: &BitNetTensor) -> Result<BitNetTensor> {
    match kind {
        GateKind::ReluSquared => gate.relu_squared()?.into_mul(up),
        GateKind::Silu => gate.silu()?.into_mul(up),
    }
}

/// # Gated activations
impl BitNetTensor {
    /// `activation(self) · up`, elementwise, for floats of one type and of equal shapes. The half types
    /// are computed in `F32` and rounded once.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::GateKind};
    /// let gate = BitNetTensor::try_from(vec![-1.0f32, 2.0])?;
    /// let up = BitNetTensor::try_from(vec![5.0f32, 3.0])?;
    /// let y = gate.gate(GateKind::ReluSquared, &up)?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 12.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn gate(&self, kind: GateKind, up: &Self) -> Result<Self> {
        if self.dtype() != up.dtype()
            || self.shape() != up.shape()
            || !self.dtype().is_float()
            || self.dtype() == BitNetDType::F32
        {
            return apply_one(Gate(kind), &[self, up]);
        }
        composed("gate", &[self, up], || {
            if self.dtype() == BitNetDType::F64 {
                return gated(kind, self, up);
            }
            let wide = |x: &Self| x.to_dtype(BitNetDType::F32);
            apply_one(Gate(kind), &[&wide(self)?, &wide(up)?])?.to_dtype(self.dtype())
        })
    }

    /// [`gate`](Self::gate) into `out`: into its storage where it fits, else it is replaced.
    ///
    /// # Errors
    /// As [`gate`](Self::gate).
    pub fn gate_out(&self, kind: GateKind, up: &Self, out: &mut Self) -> Result<()> {
        apply_out(Gate(kind), &[self, up], std::slice::from_mut(out))
    }
}
