//! Activations of neural networks.

use super::unary_methods;
use super::{Unary, apply_one, apply_reusing};
use crate::BitNetTensor;
use crate::error::Result;
use crate::ops::UnaryKind;

unary_methods! {
    "# Activations\n\nThey take floats and keep shape and type."
    /// `max(x, 0)`.
    relu, into_relu => Relu, "[1.5f32, -2.0]", "[1.5, 0.0]";
    /// `min(max(x, 0), 6)`.
    relu6, into_relu6 => Relu6, "[8.0f32, -2.0]", "[6.0, 0.0]";
    /// `max(x, 0)²`, the activation of BitNet b1.58 2B-4T.
    relu_squared, into_relu_squared => ReluSquared, "[3.0f32, -2.0]", "[9.0, 0.0]";
    /// Scaled ELU with the constants of Klambauer et al. 2017.
    selu, into_selu => Selu, "[0.0f32]", "[0.0]";
    /// `x Φ(x)` with the distribution function of the normal distribution (Hendrycks and Gimpel 2016).
    gelu, into_gelu => Gelu, "[0.0f32, 100.0]", "[0.0, 100.0]";
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation of GELU.
    gelu_tanh, into_gelu_tanh => GeluTanh, "[0.0f32, 100.0]", "[0.0, 100.0]";
    /// `x / (1 + e⁻ˣ)`, also called swish.
    silu, into_silu => Silu, "[0.0f32, 100.0]", "[0.0, 100.0]";
    /// `x tanh(ln(1 + eˣ))` (Misra 2019).
    mish, into_mish => Mish, "[0.0f32, 100.0]", "[0.0, 100.0]";
    /// `1 / (1 + e⁻ˣ)`.
    sigmoid, into_sigmoid => Sigmoid, "[0.0f32, 100.0]", "[0.5, 1.0]";
    /// `ln(1 / (1 + e⁻ˣ))`, without overflow.
    log_sigmoid, into_log_sigmoid => LogSigmoid, "[-1000.0f32]", "[-1000.0]";
    /// `min(max(x/6 + 1/2, 0), 1)`, as in PyTorch.
    hard_sigmoid, into_hard_sigmoid => HardSigmoid, "[0.0f32, 4.0]", "[0.5, 1.0]";
    /// `x · hard_sigmoid(x)` (Howard et al. 2019).
    hard_swish, into_hard_swish => HardSwish, "[0.0f32, 4.0]", "[0.0, 4.0]";
    /// `min(max(x, −1), 1)`.
    hard_tanh, into_hard_tanh => HardTanh, "[0.5f32, -3.0]", "[0.5, -1.0]";
    /// `ln(1 + eˣ)`, without overflow.
    softplus, into_softplus => Softplus, "[1000.0f32]", "[1000.0]";
    /// `x / (1 + |x|)`.
    softsign, into_softsign => Softsign, "[1.0f32, -3.0]", "[0.5, -0.75]";
}

/// # Activations with a parameter
impl BitNetTensor {
    /// `x`, or `slope · x` below zero.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![2.0f32, -10.0])?;
    /// assert_eq!(x.leaky_relu(0.1)?.to_vec::<f32>()?, [2.0, -1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the elements are floats.
    pub fn leaky_relu(&self, slope: f64) -> Result<Self> {
        apply_one(Unary(UnaryKind::LeakyRelu(slope)), &[self])
    }

    /// [`leaky_relu`](Self::leaky_relu) that reuses the storage when nobody shares it.
    ///
    /// # Errors
    /// As [`leaky_relu`](Self::leaky_relu).
    pub fn into_leaky_relu(self, slope: f64) -> Result<Self> {
        apply_reusing(Unary(UnaryKind::LeakyRelu(slope)), self, &[])
    }

    /// `x`, or `α (eˣ − 1)` below zero (Clevert et al. 2015).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![2.0f32, -1000.0])?;
    /// assert_eq!(x.elu(1.0)?.to_vec::<f32>()?, [2.0, -1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the elements are floats.
    pub fn elu(&self, alpha: f64) -> Result<Self> {
        apply_one(Unary(UnaryKind::Elu(alpha)), &[self])
    }

    /// [`elu`](Self::elu) that reuses the storage when nobody shares it.
    ///
    /// # Errors
    /// As [`elu`](Self::elu).
    pub fn into_elu(self, alpha: f64) -> Result<Self> {
        apply_reusing(Unary(UnaryKind::Elu(alpha)), self, &[])
    }

    /// `x`, or `α (e^(x/α) − 1)` below zero (Barron 2017).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![2.0f32, -1000.0])?;
    /// assert_eq!(x.celu(1.0)?.to_vec::<f32>()?, [2.0, -1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the elements are floats.
    pub fn celu(&self, alpha: f64) -> Result<Self> {
        apply_one(Unary(UnaryKind::Celu(alpha)), &[self])
    }

    /// [`celu`](Self::celu) that reuses the storage when nobody shares it.
    ///
    /// # Errors
    /// As [`celu`](Self::celu).
    pub fn into_celu(self, alpha: f64) -> Result<Self> {
        apply_reusing(Unary(UnaryKind::Celu(alpha)), self, &[])
    }
}
