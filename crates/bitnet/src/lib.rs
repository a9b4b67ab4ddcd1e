//! 1.58-bit (ternary, BitNet b1.58) neural networks: tensors, models, inference.
//!
//! The one crate to depend on. It gathers the others:
//!
//! - [`llm`]: load a model and generate text;
//! - [`nn`]: the layers of ternary networks;
//! - [`tensor`]: n-dimensional arrays, their operations, memory pools and backends;
//! - [`kernels`]: threads and instruction sets.
//!
//! ```
//! # #[cfg(feature = "embedded-model")] {
//! use bitnet::llm::generation::{GenerationOptions, generate};
//! use bitnet::llm::sampler::SamplingParams;
//! use bitnet::llm::tokenizer::BosPolicy;
//! use bitnet::{LoadOptions, Session};
//!
//! let model = bitnet::embedded::load_stories_27m(&LoadOptions::default())?;
//! let prompt = model.tokenizer()?.encode("Once upon a time", BosPolicy::Auto)?;
//! let options = GenerationOptions {
//!     sampling: SamplingParams::greedy(),
//!     max_tokens: Some(8),
//!     ..GenerationOptions::default()
//! };
//! let generation = generate(&mut Session::new(&model)?, &prompt, &options)?;
//! assert_eq!(generation.generated_ids.len(), 8);
//! println!("Once upon a time{}", generation.text);
//! # }
//! # Ok::<(), bitnet::LlmError>(())
//! ```
//!
//! # Features
//! - `embedded-model` (default): a model of 27 million parameters inside of the library, see
//!   `embedded`.
//! - `gpu`: Metal, Vulkan and DX12, see [`register_devices`]; nothing is linked, a driver is looked for
//!   at run time.
//! - `ndarray`: tensors from arrays of the crate `ndarray`, without copying owned ones, and back as
//!   arrays or views.

#[cfg(feature = "embedded-model")]
pub mod embedded;

pub use bitnet_kernels as kernels;
pub use bitnet_llm as llm;
pub use bitnet_nn as nn;
pub use bitnet_tensor as tensor;

pub use bitnet_llm::generation::{Generation, GenerationOptions, Generator};
pub use bitnet_llm::{HeadPrecision, LlmError, LoadOptions, Model, ModelFiles, Session};
pub use bitnet_tensor::{BitNetDType, BitNetTensor, Device, TensorOpError, TensorShape};

/// Looks for the devices that the features of this crate can drive, and makes them known to
/// [`Device::parse`] and [`Device::best`]. Called once, before models are loaded; without a feature that
/// brings a backend, or without a driver, there is the CPU alone.
///
/// ```
/// bitnet::register_devices()?;
/// assert!(bitnet::Device::list().iter().any(|info| info.device == bitnet::Device::CPU));
/// # Ok::<(), bitnet::TensorOpError>(())
/// ```
///
/// # Errors
/// When a device that was found cannot be registered.
pub fn register_devices() -> Result<(), TensorOpError> {
    #[cfg(feature = "gpu")]
    bitnet_wgpu::register()?;
    Ok(())
}
