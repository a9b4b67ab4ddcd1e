//! Convolutions over any number of axes, as products of windows and filters.
//!
//! As everywhere in neural networks these are correlations: the filter is not turned around.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::ops::PadMode;
use crate::{BitNetDType, BitNetTensor};

/// How a filter moves over the spatial axes: of each list one number for each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convolution {
    /// The distance between the places of the filter.
    pub stride: Vec<usize>,
    /// Zeros before and after each axis.
    pub padding: Vec<(usize, usize)>,
    /// The distance between the elements under the filter.
    pub dilation: Vec<usize>,
    /// Groups of channels that do not mix.
    pub groups: usize,
}

impl Convolution {
    /// Every place, no padding, neighbouring elements, one group, over `axes` axes.
    ///
    /// ```
    /// use bitnet_tensor::ops::Convolution;
    /// let how = Convolution { groups: 2, ..Convolution::new(2) };
    /// assert_eq!(how.stride, [1, 1]);
    /// ```
    pub fn new(axes: usize) -> Self {
        Self {
            stride: vec![1; axes],
            padding: vec![(0, 0); axes],
            dilation: vec![1; axes],
            groups: 1,
        }
    }
}

/// # Convolution
impl BitNetTensor {
    /// The convolution of `[batch, channels, space…]` with filters
    /// `[filters, channels / groups, size…]` and a bias `[filters]`:
    /// `[batch, filters, places…]`. Half types are computed in `F32` and rounded once.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Convolution};
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [1, 1, 4])?;
    /// let filter = BitNetTensor::from_vec(vec![1.0f32, 10.0], [1, 1, 2])?;
    /// let y = x.convolution(&filter, None, &Convolution::new(1))?;
    /// assert_eq!(y.to_vec::<f32>()?, [21.0, 32.0, 43.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when the parts do not fit each other; `DTypeMismatch` unless they are floats
    /// of one type.
    pub fn convolution(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        how: &Convolution,
    ) -> Result<Self> {
        let name = "convolution";
        check(name, self, weight, bias, how, weight.shape().get(1).copied())?;
        let operands: Vec<&Self> = [Some(self), Some(weight), bias].into_iter().flatten().collect();
        composed(name, &operands, || {
            wide(self, weight, bias, |x, weight, bias| {
                let mut pads = vec![(0, 0); 2];
                pads.extend(&how.padding);
                let patches = x.pad(&pads, PadMode::Constant(0.0))?;
                products(&patches, weight, bias, &how.stride, &how.dilation, how.groups)
            })
        })
    }

    /// [`convolution`](Self::convolution) over one axis.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0], [1, 1, 3])?;
    /// let filter = BitNetTensor::from_vec(vec![1.0f32, 10.0], [1, 1, 2])?;
    /// let y = x.conv1d(&filter, None, 1, 1, 1, 1)?;
    /// assert_eq!(y.to_vec::<f32>()?, [10.0, 21.0, 32.0, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`convolution`](Self::convolution).
    pub fn conv1d(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        stride: usize,
        padding: usize,
        dilation: usize,
        groups: usize,
    ) -> Result<Self> {
        let how = Convolution {
            stride: vec![stride],
            padding: vec![(padding, padding)],
            dilation: vec![dilation],
            groups,
        };
        self.convolution(weight, bias, &how)
    }

    /// [`convolution`](Self::convolution) over two axes.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::full([1, 1, 4, 4], 1.0f32)?;
    /// let filter = BitNetTensor::full([2, 1, 3, 3], 1.0f32)?;
    /// let y = x.conv2d(&filter, None, [1, 1], [0, 0], [1, 1], 1)?;
    /// assert_eq!(y.shape()[..], [1, 2, 2, 2]);
    /// assert_eq!(y.to_vec::<f32>()?, [9.0; 8]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`convolution`](Self::convolution).
    pub fn conv2d(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
        groups: usize,
    ) -> Result<Self> {
        let how = Convolution {
            stride: stride.to_vec(),
            padding: padding.map(|size| (size, size)).to_vec(),
            dilation: dilation.to_vec(),
            groups,
        };
        self.convolution(weight, bias, &how)
    }

    /// The transpose of [`convolution`](Self::convolution): of `[batch, channels, places…]` with
    /// filters `[channels, filters / groups, size…]` what a convolution with these filters would
    /// have the gradient of. `padding` cuts the result; `extra` adds to its ends.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::Convolution};
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0], [1, 1, 2])?;
    /// let filter = BitNetTensor::from_vec(vec![1.0f32, 10.0], [1, 1, 2])?;
    /// let how = Convolution { stride: vec![2], ..Convolution::new(1) };
    /// let y = x.convolution_transposed(&filter, None, &how, &[0])?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 10.0, 2.0, 20.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`convolution`](Self::convolution).
    pub fn convolution_transposed(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        how: &Convolution,
        extra: &[usize],
    ) -> Result<Self> {
        let name = "convolution_transposed";
        let filters = weight.shape().get(1).map(|filters| filters.saturating_mul(how.groups));
        let operands: Vec<&Self> = [Some(self), Some(weight), bias].into_iter().flatten().collect();
        let (groups, space) = (how.groups, self.rank().saturating_sub(2));
        check_types(name, &operands)?;
        check_lists(name, self, weight, how)?;
        let channels = self.shape()[1];
        if weight.shape()[0] != channels || groups == 0 || !channels.is_multiple_of(groups) {
            bail!(ShapeMismatch, name, &operands, "{channels} channels in {groups} groups");
        }
        if extra.len() != space || bias.is_some_and(|bias| Some(bias.element_count()) != filters) {
            bail!(ShapeMismatch, name, &operands, "the bias or the extra sizes do not fit");
        }
        let reach: Vec<usize> =
            (0..space).map(|n| (weight.shape()[n + 2] - 1) * how.dilation[n]).collect();
        composed(name, &operands, || {
            wide(self, weight, bias, |x, weight, bias| {
                // Zeros between the elements and around them.
                let mut spread = x.clone();
                for n in 0..space {
                    spread = apart(&spread, n + 2, how.stride[n])?;
                }
                let mut pads = vec![(0, 0); 2];
                pads.extend((0..space).map(|n| (reach[n], reach[n] + extra[n])));
                let spread = spread.pad(&pads, PadMode::Constant(0.0))?;
                // [channels, filters / groups, …] of each group turned around and swapped.
                let turned: Vec<isize> = (2..2 + space as isize).collect();
                let size = channels / groups;
                let of_group = |group: usize| {
                    weight.narrow(0, group * size, size)?.transpose(0, 1)?.flip(&turned)
                };
                let filters = (0..groups).map(of_group).collect::<Result<Vec<_>>>()?;
                let filters = Self::cat(&filters.iter().collect::<Vec<_>>(), 0)?;
                let once = vec![1; space];
                let mut y = products(&spread, &filters, bias, &once, &how.dilation, groups)?;
                for (n, &(before, after)) in how.padding.iter().enumerate() {
                    let size = y.shape()[n + 2].saturating_sub(before.saturating_add(after));
                    y = y.narrow(n as isize + 2, before, size)?;
                }
                Ok(y)
            })
        })
    }
}

/// The elements of `axis` `stride` apart, zeros between them.
fn apart(x: &BitNetTensor, axis: usize, stride: usize) -> Result<BitNetTensor> {
    let size = x.shape()[axis];
    if stride == 1 || size == 0 {
        return Ok(x.clone());
    }
    let mut behind = vec![(0, 0); x.rank() + 1];
    behind[axis + 1] = (0, stride - 1);
    let padded = x.unsqueeze(axis as isize + 1)?.pad(&behind, PadMode::Constant(0.0))?;
    let mut shape = x.shape().to_vec();
    shape[axis] = size * stride;
    padded.reshape(shape)?.narrow(axis as isize, 0, (size - 1) * stride + 1)
}

/// The products of all windows with all filters.
fn products(
    x: &BitNetTensor,
    weight: &BitNetTensor,
    bias: Option<&BitNetTensor>,
    stride: &[usize],
    dilation: &[usize],
    groups: usize,
) -> Result<BitNetTensor> {
    let space = stride.len();
    let (batch, channels, filters) = (x.shape()[0], x.shape()[1] / groups, weight.shape()[0]);
    let mut patches = x.clone();
    for n in 0..space {
        patches = patches.windows(n as isize + 2, weight.shape()[n + 2], stride[n], dilation[n])?;
    }
    let places = patches.shape()[2..2 + space].to_vec();
    let (count, taps) = (
        places.iter().product::<usize>(),
        channels * weight.shape()[2..].iter().product::<usize>(),
    );
    // [batch, channels, places…, taps…] to [batch, groups, taps, places].
    let mut order: Vec<isize> = vec![0, 1];
    order.extend(2 + space as isize..2 + 2 * space as isize);
    order.extend(2..2 + space as isize);
    let patches = patches.permute(&order)?.reshape([batch, groups, taps, count])?;
    let weight = weight.reshape([groups, filters / groups, taps])?;
    let mut shape = vec![batch, filters];
    shape.extend(places);
    let y = weight.matmul(&patches)?.reshape(shape)?;
    match bias {
        Some(bias) => {
            let mut shape = vec![1; space + 1];
            shape[0] = filters;
            y.add(&bias.reshape(shape)?)
        }
        None => Ok(y),
    }
}

/// `body` in a type that sums well, the result in the tensor's own.
fn wide(
    x: &BitNetTensor,
    weight: &BitNetTensor,
    bias: Option<&BitNetTensor>,
    body: impl FnOnce(&BitNetTensor, &BitNetTensor, Option<&BitNetTensor>) -> Result<BitNetTensor>,
) -> Result<BitNetTensor> {
    if matches!(x.dtype(), BitNetDType::F32 | BitNetDType::F64) {
        return body(x, weight, bias);
    }
    let to = |x: &BitNetTensor| x.to_dtype(BitNetDType::F32);
    body(&to(x)?, &to(weight)?, bias.map(to).transpose()?.as_ref())?.to_dtype(x.dtype())
}

fn check_types(name: &'static str, operands: &[&BitNetTensor]) -> Result<()> {
    let dtype = operands[0].dtype();
    if !dtype.is_float() || operands.iter().any(|operand| operand.dtype() != dtype) {
        bail!(DTypeMismatch, name, operands, "takes floats of one type");
    }
    Ok(())
}

fn check_lists(
    name: &'static str,
    x: &BitNetTensor,
    weight: &BitNetTensor,
    how: &Convolution,
) -> Result<()> {
    let operands = &[x, weight];
    let space = x.rank().saturating_sub(2);
    if space == 0 || weight.rank() != x.rank() {
        bail!(ShapeMismatch, name, operands, "takes [batch, channels, space…] and such filters");
    }
    let lengths = [how.stride.len(), how.padding.len(), how.dilation.len()];
    if lengths.iter().any(|&length| length != space) {
        bail!(ShapeMismatch, name, operands, "there are not {space} strides, paddings, dilations");
    }
    if how.stride.contains(&0) || how.dilation.contains(&0) || weight.shape()[2..].contains(&0) {
        bail!(ShapeMismatch, name, operands, "a stride, dilation or filter size is zero");
    }
    Ok(())
}

fn check(
    name: &'static str,
    x: &BitNetTensor,
    weight: &BitNetTensor,
    bias: Option<&BitNetTensor>,
    how: &Convolution,
    inputs: Option<usize>,
) -> Result<()> {
    let operands: Vec<&BitNetTensor> =
        [Some(x), Some(weight), bias].into_iter().flatten().collect();
    check_types(name, &operands)?;
    check_lists(name, x, weight, how)?;
    let (groups, filters, channels) = (how.groups, weight.shape()[0], x.shape()[1]);
    let fits = groups > 0
        && filters.is_multiple_of(groups)
        && inputs.and_then(|inputs| inputs.checked_mul(groups)) == Some(channels);
    if !fits {
        bail!(
            ShapeMismatch,
            name,
            &operands,
            "{channels} channels in {groups} groups do not fit the filters"
        );
    }
    if bias.is_some_and(|bias| bias.element_count() != filters) {
        bail!(
            ShapeMismatch,
            name,
            &operands,
            "there is not one bias for each of {filters} filters"
        );
    }
    Ok(())
}
