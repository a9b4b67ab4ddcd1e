//! Losses: how far predictions are from their targets, as PyTorch's functions of these names.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// What becomes of the losses of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// They are the result.
    None,
    /// Their mean; of classes the mean weighted by the classes.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    fn of(self, losses: &BitNetTensor) -> Result<BitNetTensor> {
        match self {
            Self::None => Ok(losses.clone()),
            Self::Mean => losses.mean(&[], false),
            Self::Sum => losses.sum(&[], false),
        }
    }
}

/// # Losses of numbers
///
/// Prediction and target broadcast.
impl BitNetTensor {
    /// `(x − target)²`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![1.0f32, 4.0])?;
    /// let target = BitNetTensor::try_from(vec![0.0f32, 1.0])?;
    /// assert_eq!(x.mse_loss(&target, Reduction::Mean)?.item::<f32>()?, 5.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless both are floats, `BroadcastError`.
    pub fn mse_loss(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.loss("mse_loss", target, reduction, |x, target| x.sub(target)?.square())
    }

    /// `|x − target|`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![1.0f32, 5.0])?;
    /// let target = BitNetTensor::try_from(vec![2.0f32, 2.0])?;
    /// let loss = x.l1_loss(&target, Reduction::Mean)?;
    /// assert_eq!(loss.item::<f32>()?, 2.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mse_loss`](Self::mse_loss).
    pub fn l1_loss(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.loss("l1_loss", target, reduction, |x, target| x.sub(target)?.abs())
    }

    /// With `d = |x − target|`: `d² / 2` up to `delta`, from there on `delta · (d − delta / 2)`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![1.0f32, 5.0])?;
    /// let target = BitNetTensor::try_from(vec![2.0f32, 2.0])?;
    /// let loss = x.huber_loss(&target, 1.0, Reduction::None)?;
    /// assert_eq!(loss.to_vec::<f32>()?, [0.5, 2.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mse_loss`](Self::mse_loss).
    pub fn huber_loss(&self, target: &Self, delta: f64, reduction: Reduction) -> Result<Self> {
        self.loss("huber_loss", target, reduction, |x, target| {
            let distance = x.sub(target)?.abs()?;
            let line = distance.sub(0.5 * delta)?.mul(delta)?;
            distance.le(delta)?.where_(&distance.square()?.mul(0.5)?, &line)
        })
    }

    /// [`huber_loss`](Self::huber_loss) divided by its bend, `beta`; of 0 the
    /// [`l1_loss`](Self::l1_loss).
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![1.0f32, 6.0])?;
    /// let target = BitNetTensor::try_from(vec![2.0f32, 2.0])?;
    /// let loss = x.smooth_l1_loss(&target, 2.0, Reduction::None)?;
    /// assert_eq!(loss.to_vec::<f32>()?, [0.25, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mse_loss`](Self::mse_loss).
    pub fn smooth_l1_loss(&self, target: &Self, beta: f64, reduction: Reduction) -> Result<Self> {
        composed("smooth_l1_loss", &[self, target], || match beta {
            0.0 => self.l1_loss(target, reduction),
            _ => self.huber_loss(target, beta, reduction)?.div(beta),
        })
    }

    /// `target · (ln target − x)` of logarithms of probabilities `x`; 0 where the target is.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![0.5f32.ln(), 0.5f32.ln()])?;
    /// let target = BitNetTensor::try_from(vec![0.5f32, 0.5])?;
    /// let loss = x.kl_div(&target, Reduction::Sum)?;
    /// assert!(loss.item::<f32>()?.abs() < 1e-6); // the same distribution
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mse_loss`](Self::mse_loss).
    pub fn kl_div(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.loss("kl_div", target, reduction, |x, target| {
            // Where there is no target, neither is its logarithm.
            let some = target.gt(0.0)?;
            let logarithm = some.where_(target, 1.0)?.log()?;
            some.where_(&target.mul(&logarithm.sub(x)?)?, 0.0)
        })
    }

    /// `−target · ln x − (1 − target) · ln(1 − x)` of probabilities; logarithms end at −100.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![0.5f32, 1.0])?;
    /// let target = BitNetTensor::try_from(vec![1.0f32, 1.0])?;
    /// let loss = x.binary_cross_entropy(&target, Reduction::Sum)?;
    /// assert!((loss.item::<f32>()? - 2f32.ln()).abs() < 1e-6);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mse_loss`](Self::mse_loss).
    pub fn binary_cross_entropy(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        self.loss("binary_cross_entropy", target, reduction, |x, target| {
            let yes = x.log()?.maximum(-100.0)?;
            let no = x.neg()?.log1p()?.maximum(-100.0)?;
            // target · (no − yes) − no
            no.sub(&yes)?.mul(target)?.sub(&no)
        })
    }

    /// [`binary_cross_entropy`](Self::binary_cross_entropy) of the sigmoid of `x`, without
    /// computing it: `max(x, 0) − x · target + ln(1 + e^−|x|)`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::try_from(vec![0.0f32])?;
    /// let target = BitNetTensor::try_from(vec![1.0f32])?;
    /// let loss = x.binary_cross_entropy_with_logits(&target, Reduction::Mean)?;
    /// assert!((loss.item::<f32>()? - 2f32.ln()).abs() < 1e-6);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mse_loss`](Self::mse_loss).
    pub fn binary_cross_entropy_with_logits(
        &self,
        target: &Self,
        reduction: Reduction,
    ) -> Result<Self> {
        self.loss("binary_cross_entropy_with_logits", target, reduction, |x, target| {
            let rest = x.abs()?.neg()?.exp()?.log1p()?;
            x.relu()?.sub(&x.mul(target)?)?.add(&rest)
        })
    }

    fn loss(
        &self,
        name: &'static str,
        target: &Self,
        reduction: Reduction,
        each: impl FnOnce(&Self, &Self) -> Result<Self>,
    ) -> Result<Self> {
        if !self.dtype().is_float() || !target.dtype().is_float() {
            bail!(DTypeMismatch, name, &[self, target], "takes floats: cast with to_dtype first");
        }
        composed(name, &[self, target], || reduction.of(&each(self, target)?))
    }
}

/// # Losses of classes
///
/// `x` is `[batch, classes, …]` and the target `[batch, …]` with the number of a class each, or `x`
/// is `[classes]` and the target one number. `weight [classes]` says how much a class counts;
/// targets of `ignored` do not count.
impl BitNetTensor {
    /// `−weight[target] · x[target]` of logarithms of probabilities.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::from_vec(vec![-1.0f32, -2.0, -3.0, -4.0], [2, 2])?;
    /// let target = BitNetTensor::try_from(vec![0i64, 1])?;
    /// assert_eq!(x.nll_loss(&target, None, None, Reduction::Mean)?.item::<f32>()?, 2.5);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless `x` is a float and targets are integers; `ShapeMismatch` when they
    /// do not fit; `ComputationError` for a target that is no class.
    pub fn nll_loss(
        &self,
        target: &Self,
        weight: Option<&Self>,
        ignored: Option<i64>,
        reduction: Reduction,
    ) -> Result<Self> {
        const NAME: &str = "nll_loss";
        if !self.dtype().is_float() || !target.dtype().is_integer() {
            bail!(DTypeMismatch, NAME, &[self, target], "takes floats and integer targets");
        }
        let axis = self.rank().min(2) as isize - 1;
        let others = self.shape().iter().enumerate();
        let others = others.filter(|&(at, _)| at as isize != axis).map(|(_, size)| size);
        if axis < 0 || !others.eq(target.shape().iter()) {
            bail!(ShapeMismatch, NAME, &[self, target], "there is not one target for each");
        }
        composed(NAME, &[self, target], || {
            let target = target.to_dtype(BitNetDType::I64)?;
            // An ignored target may be no class: the first one stands for it.
            let (class, counts) = match ignored {
                Some(ignored) => {
                    let counts = target.ne(ignored)?;
                    (counts.where_(&target, 0)?, Some(counts))
                }
                None => (target, None),
            };
            let chosen = self.gather(axis, &class.unsqueeze(axis)?)?.squeeze(axis)?;
            let weights = match weight {
                Some(weight) => weight.index_select(0, &class)?,
                None => chosen.detach().ones_like()?,
            };
            let weights = match &counts {
                Some(counts) => counts.where_(&weights, 0.0)?,
                None => weights,
            };
            let losses = chosen.neg()?.mul(&weights)?;
            // −∞ times nothing.
            let losses = match &counts {
                Some(counts) => counts.where_(&losses, 0.0)?,
                None => losses,
            };
            match reduction {
                Reduction::Mean => losses.sum(&[], false)?.div(&weights.sum(&[], false)?),
                _ => reduction.of(&losses),
            }
        })
    }

    /// [`nll_loss`](Self::nll_loss) of the [`log_softmax`](Self::log_softmax) over the classes.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Reduction};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 0.0], [1, 2])?;
    /// let target = BitNetTensor::try_from(vec![1i64])?;
    /// let loss = x.cross_entropy(&target, None, None, Reduction::Mean)?.item::<f32>()?;
    /// assert!((loss - 2f32.ln()).abs() < 1e-6);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`nll_loss`](Self::nll_loss).
    pub fn cross_entropy(
        &self,
        target: &Self,
        weight: Option<&Self>,
        ignored: Option<i64>,
        reduction: Reduction,
    ) -> Result<Self> {
        composed("cross_entropy", &[self, target], || {
            let axis = self.rank().min(2) as isize - 1;
            self.log_softmax(axis)?.nll_loss(target, weight, ignored, reduction)
        })
    }
}
