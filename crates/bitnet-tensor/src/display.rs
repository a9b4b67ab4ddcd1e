//! How tensors print: `Display` the elements, `Debug` what the tensor is.

use std::fmt;

use crate::dtype::with_number_type;
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor, Device};

/// With more elements than this, only the edges of each axis are shown.
const THRESHOLD: usize = 1000;
/// How many elements an edge has.
const EDGE: usize = 3;

impl fmt::Debug for BitNetTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BitNetTensor({}{}", self.dtype(), self.shape())?;
        if !self.is_contiguous() {
            write!(f, ", strides {:?}", self.layout().strides())?;
        }
        if self.device() != Device::CPU {
            write!(f, ", {}", self.device())?;
        }
        f.write_str(")")
    }
}

/// The elements in nested brackets, then the type and the shape. Reads the device.
impl fmt::Display for BitNetTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision().unwrap_or(4);
        let format: Box<dyn Fn(usize) -> String> = match self.dtype() {
            BitNetDType::Bool => {
                let values = self.to_vec::<bool>().map_err(|_| fmt::Error)?;
                Box::new(move |index| values[index].to_string())
            }
            dtype if dtype.is_integer() => with_number_type!(dtype, T => {
                let values = self.to_vec::<T>().map_err(|_| fmt::Error)?;
                Box::new(move |index| values[index].to_string())
            }, return Err(fmt::Error)),
            _ => {
                let values = self.to_f64_vec().map_err(|_| fmt::Error)?;
                Box::new(move |index| format!("{:.precision$}", values[index]))
            }
        };
        // An axis may be long without elements: beside one of size zero.
        let summarize =
            self.element_count() > THRESHOLD || self.shape().iter().any(|&size| size > THRESHOLD);
        let printer = Printer { shape: self.shape(), summarize, format: &*format };
        let mut text = String::new();
        printer.print(0, 0, &mut text);
        write!(f, "{text}\n{}{}", self.dtype(), self.shape())
    }
}

struct Printer<'a> {
    shape: &'a [usize],
    summarize: bool,
    /// The element at that place in row-major order.
    format: &'a dyn Fn(usize) -> String,
}

impl Printer<'_> {
    /// Prints the part whose first element is `start`, nested `axis` deep.
    fn print(&self, axis: usize, start: usize, text: &mut String) {
        let Some(&size) = self.shape.get(axis) else {
            text.push_str(&(self.format)(start));
            return;
        };
        let stride = count(&self.shape[axis + 1..]);
        let innermost = axis + 1 == self.shape.len();
        text.push('[');
        let mut index = 0;
        while index < size {
            if index > 0 {
                let separator = if innermost {
                    ", ".to_owned()
                } else {
                    format!(",\n{}", " ".repeat(axis + 1))
                };
                text.push_str(&separator);
            }
            if self.summarize && index == EDGE && size > 2 * EDGE {
                text.push_str("...");
                index = size - EDGE;
                continue;
            }
            self.print(axis + 1, start + index * stride, text);
            index += 1;
        }
        text.push(']');
    }
}

#[cfg(test)]
mod tests {
    use crate::{BitNetDType, BitNetTensor};

    #[test]
    fn elements_print_in_nested_brackets() -> crate::Result<()> {
        let x = BitNetTensor::from_vec(vec![1.0f32, -2.5, 0.0, 4.0], [2, 2])?;
        assert_eq!(x.to_string(), "[[1.0000, -2.5000],\n [0.0000, 4.0000]]\nf32[2, 2]");
        assert_eq!(format!("{x:.1}"), "[[1.0, -2.5],\n [0.0, 4.0]]\nf32[2, 2]");
        assert_eq!(BitNetTensor::scalar(u64::MAX)?.to_string(), "18446744073709551615\nu64[]");
        assert_eq!(BitNetTensor::scalar(7u32)?.to_string(), "7\nu32[]");
        assert_eq!(BitNetTensor::zeros([0, 3], BitNetDType::F32)?.to_string(), "[]\nf32[0, 3]");
        Ok(())
    }

    #[test]
    fn long_axes_show_their_edges() -> crate::Result<()> {
        let x = BitNetTensor::arange(0..2000)?;
        assert_eq!(x.to_string(), "[0, 1, 2, ..., 1997, 1998, 1999]\ni32[2000]");
        Ok(())
    }

    #[test]
    fn debug_says_what_the_tensor_is() -> crate::Result<()> {
        let x = BitNetTensor::zeros([2, 3], BitNetDType::F32)?;
        assert_eq!(format!("{x:?}"), "BitNetTensor(f32[2, 3])");
        assert_eq!(format!("{:?}", x.transpose(0, 1)?), "BitNetTensor(f32[3, 2], strides [1, 3])");
        Ok(())
    }
}
