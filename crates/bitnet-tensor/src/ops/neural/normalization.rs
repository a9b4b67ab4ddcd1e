//! Normalisation by mean and variance: of layers, groups, instances and batches.
//!
//! All are `(x − mean) / √(var + eps) · weight + bias` with the variance of the population; they
//! differ in what the mean is taken over. Half types are computed in `F32` and rounded once.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Outputs, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// `(x − mean) / √(variance + eps) · weight + bias` along the last axis (Ba et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (x, weight, bias) = (inputs[0], inputs[1], inputs[2]);
        if inputs.iter().any(|input| input.dtype() != BitNetDType::F32) {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        let fits = |features| [weight, bias].iter().all(|p| *p.shape() == [features]);
        if !x.shape().last().is_some_and(|&features| fits(features)) {
            bail!(ShapeMismatch, self.name(), inputs, "takes [.., features] and twice [features]");
        }
        Ok(smallvec![TensorSpec::new(x.shape(), BitNetDType::F32)])
    }

    fn decompose(&self, inputs: &[&BitNetTensor]) -> Option<Result<Outputs>> {
        let y = of_parts(inputs[0], &[-1], self.eps, Some(inputs[1]), Some(inputs[2]));
        Some(y.map(|y| smallvec![y]))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        // With the normed x̂, r = 1/√(variance + eps) and g = dy · weight:
        // dx = r (g − mean(g) − x̂ mean(g x̂)).
        let (x, weight, bias) = (context.inputs[0], context.inputs[1], context.inputs[2]);
        let dy = context.gradient;
        let r = x.var(&[-1], 0, true)?.add(self.eps)?.rsqrt()?;
        let normed = x.sub(&x.mean(&[-1], true)?)?.mul(&r)?;
        let g = dy.mul(weight)?;
        let along = normed.mul(&g.mul(&normed)?.mean(&[-1], true)?)?;
        let dx = g.sub(&g.mean(&[-1], true)?)?.sub(&along)?.mul(&r)?;
        let dw = dy.mul(&normed)?.sum_to(weight.shape())?;
        Ok(smallvec![Some(dx), Some(dw), Some(dy.sum_to(bias.shape())?)])
    }
}

/// # Normalisation by mean and variance
impl BitNetTensor {
    /// Over the last axes, which have the sizes of `shape` (Ba et al. 2016); weight and bias are of
    /// that shape.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 3.0, 2.0, 6.0], [2, 2])?;
    /// let y = x.layer_norm(&[2], None, None, 0.0)?;
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless the tensor ends with `shape`; `DTypeMismatch` unless it is a float;
    /// `BroadcastError` for weights that do not fit.
    pub fn layer_norm(
        &self,
        shape: &[usize],
        weight: Option<&Self>,
        bias: Option<&Self>,
        eps: f64,
    ) -> Result<Self> {
        if !self.shape().ends_with(shape) || shape.is_empty() {
            bail!(ShapeMismatch, "layer_norm", &[self], "the last axes are not {shape:?}");
        }
        let axes: Vec<isize> = (1..=shape.len() as isize).map(|axis| -axis).collect();
        if let ([_], Some(weight), Some(bias)) = (shape, weight, bias)
            && [self, weight, bias].iter().all(|x| x.dtype() == BitNetDType::F32)
            && [weight, bias].iter().all(|x| *x.shape() == *shape)
        {
            return apply_one(LayerNorm { eps }, &[self, weight, bias]);
        }
        self.normalised("layer_norm", weight, bias, |x| of_parts(x, &axes, eps, weight, bias))
    }

    /// Of each entry of `[batch, channels, …]` over `groups` of neighbouring channels (Wu and He
    /// 2018); weight and bias are `[channels]`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 3.0, 2.0, 6.0], [1, 4])?;
    /// let y = x.group_norm(2, None, None, 0.0)?;
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for fewer than two axes, for channels that the groups do not share equally
    /// and for weights that do not fit; `DTypeMismatch` unless it is a float.
    pub fn group_norm(
        &self,
        groups: usize,
        weight: Option<&Self>,
        bias: Option<&Self>,
        eps: f64,
    ) -> Result<Self> {
        let channels = self.channels("group_norm")?;
        if groups == 0 || !channels.is_multiple_of(groups) {
            bail!(ShapeMismatch, "group_norm", &[self], "{channels} channels for {groups} groups");
        }
        self.normalised("group_norm", weight, bias, |x| {
            let inner = x.shape()[1..].iter().product::<usize>() / groups;
            let rows = x.reshape([x.shape()[0], groups, inner])?;
            let (mean, variance) = (rows.mean(&[-1], true)?, rows.var(&[-1], 0, true)?);
            let y = scaled(&rows, &mean, &variance, eps, None, None)?.reshape(x.shape())?;
            of_channels(y, weight, bias)
        })
    }

    /// Of each channel of each entry of `[batch, channels, …]` over the other axes (Ulyanov et al.
    /// 2016); weight and bias are `[channels]`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 3.0, 2.0, 6.0], [1, 2, 2])?;
    /// let y = x.instance_norm(None, None, 0.0)?;
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`group_norm`](Self::group_norm).
    pub fn instance_norm(
        &self,
        weight: Option<&Self>,
        bias: Option<&Self>,
        eps: f64,
    ) -> Result<Self> {
        let channels = self.channels("instance_norm")?;
        composed("instance_norm", &[self], || {
            if channels == 0 {
                Ok(self.clone())
            } else {
                self.group_norm(channels, weight, bias, eps)
            }
        })
    }

    /// Of each channel of `[batch, channels, …]` by a given mean and variance `[channels]`, those of
    /// the batch in training, running ones afterwards (Ioffe and Szegedy 2015); weight and bias are
    /// `[channels]`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 3.0], [1, 2])?;
    /// let (mean, variance) = (BitNetTensor::full([2], 1.0f32)?, BitNetTensor::full([2], 4.0f32)?);
    /// let y = x.batch_norm(&mean, &variance, None, None, 0.0)?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`group_norm`](Self::group_norm).
    pub fn batch_norm(
        &self,
        mean: &Self,
        variance: &Self,
        weight: Option<&Self>,
        bias: Option<&Self>,
        eps: f64,
    ) -> Result<Self> {
        self.channels("batch_norm")?;
        self.normalised("batch_norm", weight, bias, |x| {
            let (mean, variance) = (along_channels(mean, x)?, along_channels(variance, x)?);
            of_channels(scaled(x, &mean, &variance, eps, None, None)?, weight, bias)
        })
    }

    fn channels(&self, name: &'static str) -> Result<usize> {
        match self.shape().get(1) {
            Some(&channels) => Ok(channels),
            None => bail!(ShapeMismatch, name, &[self], "takes [batch, channels, …]"),
        }
    }

    /// `body` of the tensor in a type that sums well, the result in its own.
    fn normalised(
        &self,
        name: &'static str,
        weight: Option<&Self>,
        bias: Option<&Self>,
        body: impl FnOnce(&Self) -> Result<Self>,
    ) -> Result<Self> {
        if !self.dtype().is_float() {
            bail!(DTypeMismatch, name, &[self], "takes floats: cast with to_dtype first");
        }
        let operands: Vec<&Self> = [Some(self), weight, bias].into_iter().flatten().collect();
        composed(name, &operands, || match self.dtype() {
            BitNetDType::F32 | BitNetDType::F64 => body(self)?.to_dtype(self.dtype()),
            dtype => body(&self.to_dtype(BitNetDType::F32)?)?.to_dtype(dtype),
        })
    }
}

fn of_parts(
    x: &BitNetTensor,
    axes: &[isize],
    eps: f64,
    weight: Option<&BitNetTensor>,
    bias: Option<&BitNetTensor>,
) -> Result<BitNetTensor> {
    let (mean, variance) = (x.mean(axes, true)?, x.var(axes, 0, true)?);
    scaled(x, &mean, &variance, eps, weight, bias)
}

fn scaled(
    x: &BitNetTensor,
    mean: &BitNetTensor,
    variance: &BitNetTensor,
    eps: f64,
    weight: Option<&BitNetTensor>,
    bias: Option<&BitNetTensor>,
) -> Result<BitNetTensor> {
    let y = x.sub(mean)?.mul(&variance.add(eps)?.rsqrt()?)?;
    let y = weight.map_or(Ok(y.clone()), |weight| y.mul(weight))?;
    bias.map_or(Ok(y.clone()), |bias| y.add(bias))
}

fn of_channels(
    y: BitNetTensor,
    weight: Option<&BitNetTensor>,
    bias: Option<&BitNetTensor>,
) -> Result<BitNetTensor> {
    let y = weight.map_or(Ok(y.clone()), |weight| y.mul(&along_channels(weight, &y)?))?;
    bias.map_or(Ok(y.clone()), |bias| y.add(&along_channels(bias, &y)?))
}

/// `[channels]` beside `[batch, channels, …]`.
fn along_channels(parameter: &BitNetTensor, x: &BitNetTensor) -> Result<BitNetTensor> {
    let mut shape = vec![1; x.rank() - 1];
    shape[0] = x.shape()[1];
    parameter.to_dtype(x.dtype())?.reshape(shape)
}
