//! How tensors are printed: the choices, and those of the process.

use std::sync::{PoisonError, RwLock};

/// How the elements of a tensor are printed. The fields are those of PyTorch's
/// `set_printoptions`.
///
/// ```
/// use bitnet_tensor::{BitNetTensor, PrintOptions};
/// let x = BitNetTensor::arange(0..10i64)?;
/// let options = PrintOptions { threshold: 5, edge_items: 2, ..PrintOptions::default() };
/// assert_eq!(x.display_with(&options).to_string(), "tensor([0, 1,  ..., 8, 9])");
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintOptions {
    /// Digits behind the point.
    pub precision: usize,
    /// With more elements than this, only the edges of each axis are shown.
    pub threshold: usize,
    /// How many elements an edge has.
    pub edge_items: usize,
    /// Characters of a line, before the elements of the last axis continue on the next.
    pub line_width: usize,
    /// Whether floats print as `1.0000e+03`; `None` decides by their magnitudes: when the largest
    /// is more than 1000 times the smallest, or above 1e8, or the smallest is below 1e-4.
    pub sci_mode: Option<bool>,
}

impl PrintOptions {
    const DEFAULT: Self =
        Self { precision: 4, threshold: 1000, edge_items: 3, line_width: 80, sci_mode: None };
}

impl Default for PrintOptions {
    /// PyTorch's: 4 digits, 3 elements at each edge of more than 1000, lines of 80 characters.
    fn default() -> Self {
        Self::DEFAULT
    }
}

static OF_PROCESS: RwLock<PrintOptions> = RwLock::new(PrintOptions::DEFAULT);

/// The options with which `Display` prints in this process.
///
/// ```
/// assert_eq!(bitnet_tensor::print_options().precision, 4);
/// ```
pub fn print_options() -> PrintOptions {
    *OF_PROCESS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Makes `options` those with which `Display` prints in this process; returns the former ones.
///
/// ```
/// use bitnet_tensor::{BitNetTensor, PrintOptions, set_print_options};
/// let former = set_print_options(PrintOptions { precision: 2, ..PrintOptions::default() });
/// assert_eq!(BitNetTensor::scalar(3.14159f32)?.to_string(), "tensor(3.14)");
/// set_print_options(former);
/// assert_eq!(BitNetTensor::scalar(3.14159f32)?.to_string(), "tensor(3.1416)");
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
pub fn set_print_options(options: PrintOptions) -> PrintOptions {
    std::mem::replace(&mut OF_PROCESS.write().unwrap_or_else(PoisonError::into_inner), options)
}
