//! Convolutions and poolings over any number of spatial axes.

use bitnet_tensor::ops::{Convolution, PadMode};
use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::{counting, sizes};
use crate::{Adapters, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("AveragePool", |n| one(average_pool(n))),
    ("CausalConvWithState", causal_convolution),
    ("Col2Im", |n| one(columns_to_image(n))),
    ("Conv", |n| one(convolve(n, n.x(0), n.x(1), n.given(2)))),
    ("ConvTranspose", |n| one(transposed_convolution(n))),
    ("GlobalAveragePool", |n| one(n.x(0).mean(&spatial_axes(n.x(0)), true))),
    ("GlobalMaxPool", |n| one(n.x(0).max(&spatial_axes(n.x(0)), true))),
    ("LpPool", |n| one(lp_pool(n))),
    ("MaxPool", max_pool),
];

fn spatial_axes(x: &BitNetTensor) -> Vec<isize> {
    (2..x.rank() as isize).collect()
}

/// How windows lie on the spatial axes.
struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Before and after each axis.
    pads: Vec<(usize, usize)>,
    /// Beyond the padding, for a last window that is cut off.
    beyond: Vec<usize>,
}

impl Windows {
    fn new(case: &Case, space: &[usize], kernel: Vec<usize>) -> Self {
        let count = space.len();
        let list = |name: &str| case.integers(name).map_or(vec![1; count], |list| sizes(&list));
        let (strides, dilations) = (list("strides"), list("dilations"));
        let given = case.integers("pads").map_or(vec![0; 2 * count], |pads| sizes(&pads));
        let (mut pads, mut beyond) = (Vec::new(), Vec::new());
        for axis in 0..count {
            let (size, stride) = (space[axis], strides[axis]);
            let reach = (kernel[axis] - 1) * dilations[axis] + 1;
            let (before, after) = match case.text("auto_pad", "NOTSET") {
                "SAME_UPPER" | "SAME_LOWER" => {
                    let needed = (size.div_ceil(stride) - 1) * stride + reach;
                    let total = needed.saturating_sub(size);
                    let (less, more) = (total / 2, total.div_ceil(2));
                    let upper = case.text("auto_pad", "") == "SAME_UPPER";
                    if upper { (less, more) } else { (more, less) }
                }
                _ => (given[axis], given[axis + count]),
            };
            let room = before + size + after - reach;
            let mut last = room / stride;
            // A window more, if it begins before the padding at the end does.
            if case.flag("ceil_mode", false) && (last + 1) * stride < size + before {
                last = room.div_ceil(stride);
            }
            pads.push((before, after));
            beyond.push((last * stride).saturating_sub(room));
        }
        Self { kernel, strides, dilations, pads, beyond }
    }

    /// `[N, C, places…, kernel…]` of `x [N, C, space…]`, `value` where there is nothing.
    fn of(&self, x: &BitNetTensor, value: f64) -> Result<BitNetTensor> {
        let mut pads = vec![(0, 0); 2];
        pads.extend(self.pads.iter().zip(&self.beyond).map(|(&(b, a), more)| (b, a + more)));
        let mut x = x.pad(&pads, PadMode::Constant(value))?;
        for (n, &size) in self.kernel.iter().enumerate() {
            x = x.windows(n as isize + 2, size, self.strides[n], self.dilations[n])?;
        }
        Ok(x)
    }

    /// The axes of [`of`](Self::of) that a window has.
    fn axes(&self) -> Vec<isize> {
        (1..=self.kernel.len() as isize).map(|axis| -axis).collect()
    }
}

fn pool_windows(case: &Case) -> Windows {
    let kernel = sizes(&case.integers("kernel_shape").unwrap_or_default());
    Windows::new(case, &case.x(0).shape()[2..], kernel)
}

pub(crate) fn convolve(
    case: &Case,
    x: &BitNetTensor,
    weight: &BitNetTensor,
    bias: Option<&BitNetTensor>,
) -> Result<BitNetTensor> {
    let windows = Windows::new(case, &x.shape()[2..], weight.shape()[2..].to_vec());
    let how = Convolution {
        stride: windows.strides,
        padding: windows.pads,
        dilation: windows.dilations,
        groups: case.integer("group", 1) as usize,
    };
    x.convolution(weight, bias, &how)
}

fn max_pool(case: &Case) -> Outcome {
    let (x, windows) = (case.x(0), pool_windows(case));
    let lowest = if x.dtype().is_float() { f64::NEG_INFINITY } else { 0.0 };
    let places = windows.of(x, lowest)?;
    let largest = places.max(&windows.axes(), false)?;
    if case.outputs.len() == 1 {
        return Ok(vec![largest]);
    }
    // Where in the whole of `x` it was: the places themselves in the same windows.
    let space = windows.kernel.len();
    let count: usize = windows.kernel.iter().product();
    let numbers = counting(x.element_count())?;
    let numbers = if case.flag("storage_order", false) {
        let mut shape = x.shape().to_vec();
        shape[2..].reverse();
        let mut order: Vec<isize> = vec![0, 1];
        order.extend((2..x.rank() as isize).rev());
        numbers.reshape(shape)?.permute(&order)?
    } else {
        numbers.reshape(x.shape().clone())?
    };
    let flat = |windows: &BitNetTensor| {
        let mut shape = windows.shape()[..2 + space].to_vec();
        shape.push(count);
        windows.reshape(shape)
    };
    let first = flat(&places)?.argmax(-1, true)?;
    let found = flat(&windows.of(&numbers, -1.0)?)?.gather(-1, &first)?.squeeze(-1)?;
    Ok(vec![largest, found])
}

/// Divided by how many there are: with `count_include_pad` the padding counts.
fn average_pool(case: &Case) -> Result<BitNetTensor> {
    let (x, windows) = (case.x(0), pool_windows(case));
    let sums = windows.of(x, 0.0)?.sum(&windows.axes(), false)?;
    let mut ones = x.narrow(0, 0, 1)?.narrow(1, 0, 1)?.ones_like()?;
    let mut around = Windows { ..pool_windows(case) };
    if case.flag("count_include_pad", false) {
        let mut pads = vec![(0, 0); 2];
        pads.extend(&windows.pads);
        ones = ones.pad(&pads, PadMode::Constant(1.0))?;
        around.pads.fill((0, 0));
    }
    sums.div(&around.of(&ones, 0.0)?.sum(&windows.axes(), false)?)
}

fn lp_pool(case: &Case) -> Result<BitNetTensor> {
    let (windows, p) = (pool_windows(case), case.integer("p", 2));
    let powers = windows.of(&case.x(0).abs()?.pow(p)?, 0.0)?;
    powers.sum(&windows.axes(), false)?.pow(1.0 / p as f64)
}

/// Of a result that has to have a size, what is too much is cut at both ends and what is missing
/// added at the end.
fn transposed_convolution(case: &Case) -> Result<BitNetTensor> {
    let (x, weight) = (case.x(0), case.x(1));
    let space = x.rank() - 2;
    let list = |name: &str, default: usize| {
        case.integers(name).map_or(vec![default; space], |list| sizes(&list))
    };
    let mut how = Convolution {
        stride: list("strides", 1),
        dilation: list("dilations", 1),
        groups: case.integer("group", 1) as usize,
        ..Convolution::new(space)
    };
    let mut extra = list("output_padding", 0);
    let pads = case.integers("pads").map_or(vec![0; 2 * space], |pads| sizes(&pads));
    let wanted = case.integers("output_shape").map(|shape| sizes(&shape));
    let auto = case.text("auto_pad", "NOTSET");
    for n in 0..space {
        how.padding[n] = (pads[n], pads[n + space]);
        if wanted.is_none() && !auto.starts_with("SAME") {
            continue;
        }
        let (size, stride) = (x.shape()[n + 2], how.stride[n]);
        let want = wanted.as_ref().map_or(size * stride, |wanted| wanted[n]);
        let reach = (weight.shape()[n + 2] - 1) * how.dilation[n];
        let full = (size - 1) * stride + reach + 1 + extra[n];
        extra[n] += want.saturating_sub(full);
        let cut = full.saturating_sub(want);
        how.padding[n] = match auto {
            "SAME_UPPER" => (cut / 2, cut.div_ceil(2)),
            _ => (cut.div_ceil(2), cut / 2),
        };
    }
    x.convolution_transposed(weight, case.given(2), &how, &extra)
}

/// A convolution of each channel over what was and what is; what was is the last of it.
fn causal_convolution(case: &Case) -> Outcome {
    let (x, weight) = (case.x(0), case.x(1));
    let (channels, past) = (x.shape()[1], weight.shape()[2] - 1);
    let zeros;
    let state = match case.given(3) {
        Some(state) => state,
        None => {
            zeros = BitNetTensor::zeros([x.shape()[0], channels, past], x.dtype())?;
            &zeros
        }
    };
    let all = BitNetTensor::cat(&[state, x], 2)?;
    let y = all.conv1d(weight, case.given(2), 1, 0, 1, channels)?;
    let y = match case.text("activation", "none") {
        "none" => y,
        _ => y.silu()?,
    };
    Ok(vec![y, all.narrow(2, all.shape()[2] - past, past)?])
}

/// Columns `[N, C · kernel, places]` added up where their windows lie: the places of the padded
/// image are windowed like the image would be.
fn columns_to_image(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let image = sizes(&case.numbers(1)?.unwrap_or_default());
    let kernel = sizes(&case.numbers(2)?.unwrap_or_default());
    let mut windows = Windows::new(case, &image, kernel);
    let pads = std::mem::replace(&mut windows.pads, vec![(0, 0); image.len()]);
    let padded: Vec<usize> = image.iter().zip(&pads).map(|(size, (b, a))| b + size + a).collect();
    let area: usize = padded.iter().product();
    let taps: usize = windows.kernel.iter().product();
    let (batch, channels) = (x.shape()[0], x.shape()[1] / taps);

    let mut shape = vec![1, 1];
    shape.extend(&padded);
    let numbers = counting(area)?.reshape(shape.clone())?;
    // [1, 1, places…, kernel…] to [kernel · places], as the columns lie.
    let space = image.len() as isize;
    let mut order: Vec<isize> = (2 + space..2 + 2 * space).collect();
    order.extend(2..2 + space);
    let places = windows.of(&numbers, 0.0)?.squeeze(0)?.squeeze(0)?;
    let order: Vec<isize> = order.iter().map(|axis| axis - 2).collect();
    let places = places.permute(&order)?;
    let count = places.element_count();
    let places = places.reshape([1, 1, count])?.expand([batch, channels, count])?;
    let values = x.reshape([batch, channels, count])?;
    let zeros = BitNetTensor::zeros([batch, channels, area], x.dtype())?;
    shape[0] = batch;
    shape[1] = channels;
    let mut y = zeros.scatter_add(2, &places, &values)?.reshape(shape)?;
    for (n, &(before, _)) in pads.iter().enumerate() {
        y = y.narrow(n as isize + 2, before, image[n])?;
    }
    Ok(y)
}
