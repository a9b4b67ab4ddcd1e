//! From the files of a model to its parameters.

use bitnet_kernels::rope::inverse_frequencies;
use bitnet_nn::{BitLinear, Embedding, Linear, Projection, RmsNorm, RotaryEmbedding};
use bitnet_tensor::ops::GateKind;
use bitnet_tensor::{BitNetDType, BitNetTensor, CodeLayout, Device, TensorOpError};

use super::blocks;
use super::decoder::{AttentionBlock, Decoder, DecoderLayer, FeedForward, HeadNorms};
use super::head::OutputHead;
use super::tensor_names::{GGUF_ROPE_FREQS, hugging_face_name};
use super::weights::{StoredType, WeightFiles};
use super::{LoadOptions, Progress};
use crate::config::{
    Activation, Architecture, ModelConfig, QuantizationMode, RopeScaling, ScaleConvention,
    WeightFormat,
};
use crate::error::{LlmError, Result};

/// Loads the parameters layer by layer. Dense weights stay in the file's mapping; ternary ones
/// are repacked for the kernels, so that besides the result only one layer's parts are in memory.
pub(super) fn load(
    config: &ModelConfig,
    weights: &WeightFiles,
    options: &LoadOptions<'_>,
    context: usize,
) -> Result<Decoder> {
    let loader = Loader { config, weights, device: options.device };
    let total = config.num_hidden_layers;
    let report = |done: usize| {
        if let Some(progress) = options.progress {
            progress(Progress { done, total });
        }
    };
    loader.refuse_what_would_be_ignored()?;
    report(0);
    let table = [config.vocab_size, config.hidden_size];
    let embedding = loader.table("model.embed_tokens.weight", table)?;
    let mut layers = Vec::with_capacity(total);
    for index in 0..total {
        layers.push(loader.layer(index)?);
        report(index + 1);
    }
    let head = if config.tie_word_embeddings {
        embedding.clone()
    } else {
        loader.table("lm_head.weight", table)?
    };
    Ok(Decoder {
        embedding: Embedding::new(embedding),
        layers,
        norm: loader.norm("model.norm.weight", config.hidden_size)?,
        head: OutputHead::new(head, options.output_head)?,
        rotary: rotary(config, loader.rope_factors()?.as_deref(), context, options.device)?,
    })
}

/// The rotary embedding of `config` for `positions` positions; `factors` divide the frequencies.
pub(super) fn rotary(
    config: &ModelConfig,
    factors: Option<&[f32]>,
    positions: usize,
    device: Device,
) -> bitnet_tensor::Result<RotaryEmbedding> {
    let mut frequencies = inverse_frequencies(config.head_dim, config.rope_theta);
    match config.rope_scaling {
        None => {}
        Some(RopeScaling::Linear { factor }) => {
            frequencies.iter_mut().for_each(|f| *f = (f64::from(*f) / factor) as f32);
        }
        Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        }) => {
            let original = original_max_position_embeddings as f64;
            for frequency in &mut frequencies {
                let wavelength = 2.0 * std::f64::consts::PI / f64::from(*frequency);
                // 0 for wavelengths to be stretched, 1 for those to be kept.
                let kept = (original / wavelength - low_freq_factor)
                    / (high_freq_factor - low_freq_factor);
                let kept = kept.clamp(0.0, 1.0);
                let exact = f64::from(*frequency);
                *frequency = ((1.0 - kept) * exact / factor + kept * exact) as f32;
            }
        }
    }
    for (frequency, factor) in frequencies.iter_mut().zip(factors.unwrap_or_default()) {
        *frequency /= factor;
    }
    RotaryEmbedding::new(&frequencies, positions, config.rope_mode, device)
}

struct Loader<'a> {
    config: &'a ModelConfig,
    weights: &'a WeightFiles,
    device: Device,
}

impl Loader<'_> {
    /// A bias that nobody adds, or a layer that nobody runs, would be another model than the file's.
    fn refuse_what_would_be_ignored(&self) -> Result<()> {
        let layers = self.config.num_hidden_layers;
        let is_gguf = self.weights.is_gguf();
        if is_gguf {
            let gguf = self.weights.gguf()?;
            gguf.check_supported().map_err(|error| error.in_file(self.weights.origin()))?;
        }
        for tensor in self.weights.tensors() {
            let refuse = |reason: &str| Err(self.weights.fault(tensor.name, reason));
            let name = match hugging_face_name(tensor.name) {
                Some(name) => name,
                None if is_gguf && tensor.name == GGUF_ROPE_FREQS => continue,
                None if is_gguf => return refuse("is not part of a model of this architecture"),
                None => tensor.name.to_owned(),
            };
            let Some(rest) = name.strip_prefix("model.layers.") else { continue };
            let index = rest.split('.').next().and_then(|index| index.parse::<usize>().ok());
            if index.is_some_and(|index| index >= layers) {
                let key = if is_gguf { "block_count" } else { "num_hidden_layers" };
                return refuse(&format!("the configuration has {layers} layers ({key})"));
            }
            let has = |part: &str| rest.contains(part);
            if rest.ends_with(".bias") {
                return refuse("biases are not supported");
            }
            if has("_sub_norm") && self.config.architecture != Architecture::BitNet {
                return refuse("only BitNet has such a norm");
            }
            if (has(".q_norm") || has(".k_norm")) && self.config.architecture != Architecture::Qwen3
            {
                return refuse("only Qwen 3 has such a norm");
            }
        }
        Ok(())
    }

    /// What divides the rotary frequencies, in files that say it.
    fn rope_factors(&self) -> Result<Option<Vec<f32>>> {
        if !self.weights.is_gguf() || self.weights.info(GGUF_ROPE_FREQS).is_none() {
            return Ok(None);
        }
        let tensor = self.dense(GGUF_ROPE_FREQS, &[self.config.head_dim / 2])?;
        let factors = tensor.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?;
        match factors.iter().find(|factor| !factor.is_normal() || **factor < 0.0) {
            Some(factor) => Err(self.weights.fault(GGUF_ROPE_FREQS, format!("holds {factor}"))),
            None => Ok(Some(factors)),
        }
    }

    fn layer(&self, index: usize) -> Result<DecoderLayer> {
        let config = self.config;
        let prefix = format!("model.layers.{index}");
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let (heads, kv_heads, head_dim) =
            (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let attention_width = heads * head_dim;
        let norm = |name: &str, width: usize| self.norm(&format!("{prefix}.{name}.weight"), width);
        let sub_norm = |name: &str, width: usize| match config.architecture {
            Architecture::BitNet => norm(name, width).map(Some),
            Architecture::Llama | Architecture::Qwen3 => Ok(None),
        };
        let head_norms = match config.architecture {
            Architecture::Qwen3 => Some(HeadNorms {
                query: norm("self_attn.q_norm", head_dim)?,
                key: norm("self_attn.k_norm", head_dim)?,
            }),
            Architecture::BitNet | Architecture::Llama => None,
        };
        let projection = |parts: &[(&str, usize)], inner: usize| {
            let names: Vec<_> =
                parts.iter().map(|(name, out)| (format!("{prefix}.{name}"), *out)).collect();
            self.projection(&names, inner)
        };
        let kv_width = kv_heads * head_dim;
        Ok(DecoderLayer {
            attention: AttentionBlock {
                input_norm: norm("input_layernorm", hidden)?,
                qkv: projection(
                    &[
                        ("self_attn.q_proj", attention_width),
                        ("self_attn.k_proj", kv_width),
                        ("self_attn.v_proj", kv_width),
                    ],
                    hidden,
                )?,
                head_norms,
                sub_norm: sub_norm("self_attn.attn_sub_norm", attention_width)?,
                output: projection(&[("self_attn.o_proj", hidden)], attention_width)?,
                heads,
                kv_heads,
                head_dim,
            },
            feed_forward: FeedForward {
                input_norm: norm("post_attention_layernorm", hidden)?,
                gate_up: projection(&[("mlp.gate_proj", ffn), ("mlp.up_proj", ffn)], hidden)?,
                activation: gate_kind(config.hidden_act),
                sub_norm: sub_norm("mlp.ffn_sub_norm", ffn)?,
                down: projection(&[("mlp.down_proj", hidden)], ffn)?,
                width: ffn,
            },
        })
    }

    /// Layers that read the same input, as one.
    fn projection(&self, parts: &[(String, usize)], inner: usize) -> Result<Projection> {
        let weights: Vec<BitNetTensor> = parts
            .iter()
            .map(|(name, out)| self.weight(name, [*out, inner]))
            .collect::<Result<_>>()?;
        let name = self.weights.stored_name(&format!("{}.weight", parts[0].0));
        let fault = |error| self.at_fault(&name, error);
        let first = weights[0].dtype();
        // Ternary ones share their quantized input, those of one block format their tiles.
        if first.is_packed() && weights.iter().all(|weight| weight.dtype() == first) {
            let all: Vec<_> = weights.iter().collect();
            let together = BitNetTensor::prepare_weight(&all).map_err(fault)?;
            return Ok(match together.dtype() {
                BitNetDType::Ternary => {
                    Projection::Ternary(BitLinear::new(&[&together]).map_err(fault)?)
                }
                _ => Projection::Dense(Linear::new(vec![together])),
            });
        }
        let prepared = |weight: BitNetTensor| match weight.dtype().is_packed() {
            true => BitNetTensor::prepare_weight(&[&weight]),
            false => Ok(weight),
        };
        let weights: bitnet_tensor::Result<_> = weights.into_iter().map(prepared).collect();
        Ok(Projection::Dense(Linear::new(weights.map_err(fault)?)))
    }

    /// The weight of a projection: ternary, in blocks, or floats.
    fn weight(&self, name: &str, shape: [usize; 2]) -> Result<BitNetTensor> {
        match self.config.ternary(name) {
            Some((scale, mode)) => self.ternary(name, shape, scale, mode),
            None if self.config.weight_format == WeightFormat::ByTensor => {
                self.weight_by_type(name, shape)
            }
            None => self.dense(&format!("{name}.weight"), &shape),
        }
    }

    /// The weight of a projection as its type in the file says.
    fn weight_by_type(&self, name: &str, shape: [usize; 2]) -> Result<BitNetTensor> {
        let weight_name = self.weights.stored_name(&format!("{name}.weight"));
        let Some(info) = self.weights.info(&weight_name) else {
            return Err(self.weights.fault(&weight_name, "is missing"));
        };
        self.expect_shape(&weight_name, info.shape, &shape)?;
        let fault = |reason: String| self.weights.fault(&weight_name, reason);
        let failed = |error| self.at_fault(&weight_name, error);
        let is_bitnet = self.config.architecture == Architecture::BitNet;
        let weight = match info.dtype {
            StoredType::Blocks(ty) if is_bitnet && !blocks::may_be_ternary(ty) => {
                let reason =
                    "the projections of a BitNet model are ternary, or floats to be made so";
                return Err(fault(format!("is {ty}: {reason}")));
            }
            StoredType::Blocks(_) => self.weights.tensor(&weight_name)?.to_device(self.device)?,
            // BitNet's projections are ternary by definition; some converters write them as floats.
            StoredType::Plain(_) if is_bitnet => {
                let masters = self.dense(&format!("{name}.weight"), &shape)?;
                match ternary_already(&masters)? {
                    Some(weight) => weight,
                    None => masters.ternarize().map_err(failed)?,
                }
            }
            StoredType::Plain(_) => self.dense(&format!("{name}.weight"), &shape)?,
        };
        let scale_name = self.weights.stored_name(&format!("{name}.weight_scale"));
        if self.weights.info(&scale_name).is_none() {
            return Ok(weight);
        }
        let factor = self.scale(&scale_name)?;
        let weight = match weight.dtype().is_packed() {
            true => BitNetTensor::prepare_weight(&[&weight]).map_err(failed)?,
            false => weight,
        };
        let Some((layout, codes, scales)) = weight.packed_parts() else {
            return Err(self.weights.fault(&scale_name, "belongs to a weight that is not ternary"));
        };
        let scales = scales.mul(factor)?;
        Ok(BitNetTensor::packed_from_parts(layout, codes.clone(), scales, shape)?)
    }

    fn ternary(
        &self,
        name: &str,
        [rows, columns]: [usize; 2],
        convention: ScaleConvention,
        mode: QuantizationMode,
    ) -> Result<BitNetTensor> {
        let weight_name = format!("{name}.weight");
        let failed = |error| self.at_fault(&weight_name, error);
        if mode == QuantizationMode::Online {
            return self.dense(&weight_name, &[rows, columns])?.ternarize().map_err(failed);
        }
        if !rows.is_multiple_of(4) {
            return Err(self
                .weights
                .fault(&weight_name, format!("{rows} rows cannot be packed four to a byte")));
        }
        let codes = self.weights.tensor(&weight_name)?;
        self.expect(&weight_name, &codes, &[BitNetDType::U8], &[rows / 4, columns])?;
        let scale = self.scale(&format!("{name}.weight_scale"))?;
        let scale = match convention {
            ScaleConvention::Multiply => scale,
            ScaleConvention::Divide => 1.0 / scale,
        };
        let scales = BitNetTensor::full([rows], scale)?;
        let device = self.device;
        BitNetTensor::packed_from_parts(
            CodeLayout::HuggingFace,
            codes.to_device(device)?,
            scales.to_device(device)?,
            [rows, columns],
        )
        .map_err(failed)
    }

    /// The error of an operation on the tensor of that name, unless the device is at fault.
    fn at_fault(&self, name: &str, error: TensorOpError) -> LlmError {
        let error = LlmError::from(error);
        if error.is_of_device() { error } else { self.weights.fault(name, error.to_string()) }
    }

    fn scale(&self, name: &str) -> Result<f32> {
        let scale = self.weights.tensor(name)?;
        if !scale.dtype().is_float() || scale.element_count() != 1 {
            let found = format!("{}{}", scale.dtype(), scale.shape());
            return Err(self.weights.fault(name, format!("is {found}, expected one float")));
        }
        let value = scale.to_dtype(BitNetDType::F32)?.item::<f32>()?;
        if !value.is_normal() || value < 0.0 || !(1.0 / value).is_finite() {
            return Err(self
                .weights
                .fault(name, format!("is {value}, expected a positive finite number")));
        }
        Ok(value)
    }

    fn norm(&self, name: &str, width: usize) -> Result<RmsNorm> {
        let weight = self.dense(name, &[width])?;
        let name = &self.weights.stored_name(name);
        // Found here it has a name; found in the logits it would have none.
        let values = weight.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(self.weights.fault(name, format!("element {index} is {}", values[index])));
        }
        Ok(RmsNorm::new(&weight, self.config.rms_norm_eps as f32)?)
    }

    /// A row per token, of floats or of blocks.
    fn table(&self, name: &str, shape: [usize; 2]) -> Result<BitNetTensor> {
        let stored = self.weights.stored_name(name);
        match self.weights.info(&stored) {
            Some(info) if matches!(info.dtype, StoredType::Blocks(_)) => {
                self.expect_shape(&stored, info.shape, &shape)?;
                Ok(self.weights.tensor(&stored)?.to_device(self.device)?)
            }
            _ => self.dense(name, &shape),
        }
    }

    fn dense(&self, name: &str, shape: &[usize]) -> Result<BitNetTensor> {
        let name = &self.weights.stored_name(name);
        let tensor = self.weights.tensor(name)?;
        self.expect(
            name,
            &tensor,
            &[BitNetDType::F32, BitNetDType::F16, BitNetDType::BF16],
            shape,
        )?;
        Ok(tensor.to_device(self.device)?)
    }

    fn expect(
        &self,
        name: &str,
        tensor: &BitNetTensor,
        dtypes: &[BitNetDType],
        shape: &[usize],
    ) -> Result<()> {
        if !dtypes.contains(&tensor.dtype()) {
            let expected: Vec<_> = dtypes.iter().map(|dtype| dtype.name()).collect();
            let reason = format!("is {}, expected {}", tensor.dtype(), expected.join(" or "));
            return Err(self.weights.fault(name, reason));
        }
        self.expect_shape(name, tensor.shape(), shape)
    }

    fn expect_shape(&self, name: &str, found: &[usize], expected: &[usize]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let reason = format!("has the shape {found:?}, the configuration needs {expected:?}");
        Err(self.weights.fault(name, reason))
    }
}

/// Floats of which all are zero or of one magnitude, as a ternary weight: what a ternary weight was
/// before somebody wrote it as floats.
fn ternary_already(weight: &BitNetTensor) -> Result<Option<BitNetTensor>> {
    let magnitude = weight.to_dtype(BitNetDType::F32)?.abs()?;
    let values = magnitude.to_vec::<f32>()?;
    let largest = values.iter().copied().fold(0.0, f32::max);
    if !largest.is_normal() || values.iter().any(|&value| value != 0.0 && value != largest) {
        return Ok(None);
    }
    let codes = weight.to_dtype(BitNetDType::F32)?.sign()?.to_dtype(BitNetDType::I8)?;
    let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
    let scales = BitNetTensor::full([rows], largest)?.to_device(weight.device())?;
    let parts = BitNetTensor::packed_from_parts(CodeLayout::Bytes, codes, scales, [rows, columns])?;
    Ok(Some(parts))
}

pub(super) fn gate_kind(activation: Activation) -> GateKind {
    match activation {
        Activation::Relu2 => GateKind::ReluSquared,
        Activation::Silu => GateKind::Silu,
    }
}
