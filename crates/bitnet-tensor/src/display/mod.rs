//! How tensors print. `Display` shows the elements as PyTorch does: one width for all, scientific
//! where the magnitudes need it, the edges of what is long. `Debug` says what the tensor is.
//!
//! Differences from PyTorch are Rust's names: `dtype=f64` for `dtype=torch.float64`, `true` for
//! `True`, `requires_grad=true`. Packed weights, which PyTorch has not, print their codes.

mod brackets;
mod number;
mod options;

use std::fmt;

pub use options::{PrintOptions, print_options, set_print_options};

use crate::dtype::{Number, with_number_type};
use crate::error::Result;
use crate::storage::Storage;
use crate::{BitNetDType, BitNetTensor, Device};
use brackets::{Excerpt, brackets};
use number::Cells;

/// What the elements stand in; their lines are indented by its length.
const PREFIX: &str = "tensor(";

/// The elements, as [`display_with`](BitNetTensor::display_with) prints them with
/// [`print_options`]; `{:.2}` takes two digits instead of the default. Reads the device.
impl fmt::Display for BitNetTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = print_options();
        options.precision = f.precision().unwrap_or(options.precision);
        self.display_with(&options).fmt(f)
    }
}

impl BitNetTensor {
    /// The elements, printed with these options. Waits for the device when it is formatted.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, PrintOptions};
    /// let x = BitNetTensor::from_nested([[1.0f32, -2.5], [0.25, 3.0]])?;
    /// assert_eq!(x.to_string(), "tensor([[ 1.0000, -2.5000],\n        [ 0.2500,  3.0000]])");
    /// let options = PrintOptions { precision: 1, ..PrintOptions::default() };
    /// assert_eq!(x.display_with(&options).to_string(), "tensor([[ 1.0, -2.5],\n        [ 0.2,  3.0]])");
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn display_with<'a>(&'a self, options: &'a PrintOptions) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| match text(self, options) {
            Ok(text) => f.write_str(&text),
            // A tensor on a lost device, codes that do not exist: printing must not panic.
            Err(error) => write!(f, "{PREFIX}unreadable: {error})"),
        })
    }
}

/// What the tensor is: type, shape, device, and how its elements lie.
impl fmt::Debug for BitNetTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("BitNetTensor");
        text.field("dtype", &format_args!("{}", self.dtype()))
            .field("shape", &format_args!("{}", self.shape()))
            .field("device", &format_args!("{}", self.device()));
        match self.storage() {
            Storage::Packed(packed) => text.field("layout", &packed.layout),
            _ => text
                .field("strides", &format_args!("{:?}", self.layout().strides()))
                .field("contiguous", &self.is_contiguous()),
        };
        if self.has_grad() {
            text.field("grad", &true);
        }
        text.finish()
    }
}

fn text(tensor: &BitNetTensor, options: &PrintOptions) -> Result<String> {
    let mut suffixes = Vec::new();
    if tensor.device() != Device::CPU {
        suffixes.push(format!("device='{}'", tensor.device()));
    }
    let body = match tensor.packed_parts() {
        Some((layout, _, scales)) => {
            let scales = elements(scales, options, "scales=".len())?;
            suffixes.push(format!("scales={scales}"));
            suffixes.push(format!("size={}", size(tensor.shape())));
            suffixes.push(format!("dtype={}, layout={layout:?}", tensor.dtype()));
            elements(&codes(tensor)?, options, PREFIX.len())?
        }
        None => {
            let empty = tensor.element_count() == 0;
            if (empty && tensor.rank() != 1) || (!empty && options.edge_items == 0) {
                suffixes.push(format!("size={}", size(tensor.shape())));
            }
            // Those that a literal makes; without elements, only one of them.
            let plain = match tensor.dtype() {
                BitNetDType::F32 => true,
                BitNetDType::I64 | BitNetDType::Bool => !empty,
                _ => false,
            };
            if !plain {
                suffixes.push(format!("dtype={}", tensor.dtype()));
            }
            elements(tensor, options, PREFIX.len())?
        }
    };
    if tensor.has_grad() {
        suffixes.push("requires_grad=true".to_owned());
    }
    Ok(with_suffixes(format!("{PREFIX}{body}"), &suffixes, options.line_width))
}

/// The elements in brackets, where `indent` characters stand before them.
fn elements(tensor: &BitNetTensor, options: &PrintOptions, indent: usize) -> Result<String> {
    if tensor.element_count() == 0 {
        return Ok("[]".to_owned());
    }
    let excerpt = Excerpt::new(tensor.shape(), options);
    let cells = cells(tensor, &excerpt)?;
    Ok(brackets(&excerpt, &cells.aligned(options), indent, options.line_width))
}

/// The elements that are shown, in row-major order; others are not touched.
fn cells(tensor: &BitNetTensor, excerpt: &Excerpt) -> Result<Cells> {
    let host = tensor.detach().to_device(Device::CPU)?;
    let places = excerpt.places(host.layout());
    Ok(with_number_type!(host.dtype(), T => {
        let data = host.host_data::<T>()?;
        if host.dtype().is_float() {
            Cells::Floats(places.iter().map(|&place| Number::to_f64(data[place])).collect())
        } else {
            Cells::Words(places.iter().map(|&place| data[place].to_string()).collect())
        }
    }, {
        let data = host.host_data::<bool>()?;
        Cells::Words(places.iter().map(|&place| data[place].to_string()).collect())
    }))
}

/// The codes of a packed weight.
fn codes(weight: &BitNetTensor) -> Result<BitNetTensor> {
    let host = weight.detach().to_device(Device::CPU)?;
    let (Some((layout, codes, _)), &[rows, columns]) = (host.packed_parts(), &**host.shape())
    else {
        return Ok(host);
    };
    let ones = BitNetTensor::ones([rows], BitNetDType::F32)?;
    BitNetTensor::packed_from_parts(layout, codes.clone(), ones, [rows, columns])?
        .to_dtype(BitNetDType::F32)?
        .to_dtype(BitNetDType::I8)
}

fn size(shape: &[usize]) -> String {
    match shape {
        [size] => format!("({size},)"),
        _ => {
            let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
            format!("({})", sizes.join(", "))
        }
    }
}

/// Adds what stands behind the elements, on a line of its own where it would be too long.
fn with_suffixes(mut text: String, suffixes: &[String], line_width: usize) -> String {
    // Counted as PyTorch counts it: a closing bracket and, on a first line, one character more.
    let mut line = match text.rfind('\n') {
        Some(end) => text.len() - end + 1,
        None => text.len() + 2,
    };
    for suffix in suffixes {
        if line + suffix.len() + 2 > line_width {
            text.push_str(",\n");
            text.push_str(&" ".repeat(PREFIX.len()));
            line = PREFIX.len() + suffix.len();
        } else {
            text.push_str(", ");
            line += suffix.len() + 2;
        }
        text.push_str(suffix);
    }
    text.push(')');
    text
}
