//! From the files of a model to its parameters.

use bitnet_kernels::rope::inverse_frequencies;
use bitnet_nn::{BitLinear, Embedding, Linear, Projection, RmsNorm, RotaryEmbedding};
use bitnet_tensor::ops::{GateKind, RopeMode};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, TernaryLayout};

use super::decoder::{AttentionBlock, Decoder, DecoderLayer, FeedForward};
use super::files::WeightFiles;
use super::head::OutputHead;
use super::{LoadOptions, Progress};
use crate::config::{
    Activation, Architecture, ModelConfig, QuantizationMode, RopeScaling, ScaleConvention,
};
use crate::error::Result;

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
    let embedding =
        loader.dense("model.embed_tokens.weight", &[config.vocab_size, config.hidden_size])?;
    let mut layers = Vec::with_capacity(total);
    for index in 0..total {
        layers.push(loader.layer(index)?);
        report(index + 1);
    }
    let head = if config.tie_word_embeddings {
        embedding.clone()
    } else {
        loader.dense("lm_head.weight", &[config.vocab_size, config.hidden_size])?
    };
    Ok(Decoder {
        embedding: Embedding::new(embedding),
        layers,
        norm: loader.norm("model.norm.weight", config.hidden_size)?,
        head: OutputHead::new(head, options.output_head)?,
        rotary: rotary(config, context, options.device)?,
    })
}

/// The rotary embedding of `config` for `positions` positions.
pub(super) fn rotary(
    config: &ModelConfig,
    positions: usize,
    device: Device,
) -> bitnet_tensor::Result<RotaryEmbedding> {
    let mut frequencies = inverse_frequencies(config.head_dim, config.rope_theta);
    if let Some(RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
    }) = config.rope_scaling
    {
        let original = original_max_position_embeddings as f64;
        for frequency in &mut frequencies {
            let wavelength = 2.0 * std::f64::consts::PI / f64::from(*frequency);
            // 0 for wavelengths to be stretched, 1 for those to be kept.
            let kept =
                (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
            let kept = kept.clamp(0.0, 1.0);
            let exact = f64::from(*frequency);
            *frequency = ((1.0 - kept) * exact / factor + kept * exact) as f32;
        }
    }
    RotaryEmbedding::new(&frequencies, positions, RopeMode::RotateHalf, device)
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
        for tensor in self.weights.tensors() {
            let Some(rest) = tensor.name.strip_prefix("model.layers.") else { continue };
            let index = rest.split('.').next().and_then(|index| index.parse::<usize>().ok());
            if index.is_some_and(|index| index >= layers) {
                let reason = format!("num_hidden_layers in config.json is {layers}");
                return Err(self.weights.fault(tensor.name, reason));
            }
            if rest.ends_with(".bias") {
                return Err(self.weights.fault(tensor.name, "biases are not supported"));
            }
        }
        Ok(())
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
            Architecture::Llama => Ok(None),
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
        let mut ternary = Vec::new();
        let mut dense = Vec::new();
        for (name, out) in parts {
            match self.config.ternary(name) {
                Some((scale, mode)) => {
                    ternary.push(self.ternary(name, [*out, inner], scale, mode)?)
                }
                None => dense.push(self.dense(&format!("{name}.weight"), &[*out, inner])?),
            }
        }
        if ternary.is_empty() {
            return Ok(Projection::Dense(Linear::new(dense)));
        }
        let (name, _) = &parts[0];
        if !dense.is_empty() {
            let reason = "modules_to_not_convert splits layers that are computed together";
            return Err(self.weights.fault(&format!("{name}.weight"), reason));
        }
        let layer = BitLinear::new(&ternary.iter().collect::<Vec<_>>())
            .map_err(|error| self.weights.fault(&format!("{name}.weight"), error.to_string()))?;
        Ok(Projection::Ternary(layer))
    }

    fn ternary(
        &self,
        name: &str,
        [rows, columns]: [usize; 2],
        convention: ScaleConvention,
        mode: QuantizationMode,
    ) -> Result<BitNetTensor> {
        let weight_name = format!("{name}.weight");
        let failed = |error: bitnet_tensor::TensorOpError| {
            self.weights.fault(&weight_name, error.to_string())
        };
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
        BitNetTensor::ternary_from_parts(
            TernaryLayout::HuggingFace,
            codes.to_device(device)?,
            scales.to_device(device)?,
            [rows, columns],
        )
        .map_err(failed)
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
        // Found here it has a name; found in the logits it would have none.
        let values = weight.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(self.weights.fault(name, format!("element {index} is {}", values[index])));
        }
        Ok(RmsNorm::new(&weight, self.config.rms_norm_eps as f32)?)
    }

    fn dense(&self, name: &str, shape: &[usize]) -> Result<BitNetTensor> {
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
        if **tensor.shape() != *shape {
            let reason =
                format!("has the shape {}, the configuration needs {shape:?}", tensor.shape());
            return Err(self.weights.fault(name, reason));
        }
        Ok(())
    }
}

pub(super) fn gate_kind(activation: Activation) -> GateKind {
    match activation {
        Activation::Relu2 => GateKind::ReluSquared,
        Activation::Silu => GateKind::Silu,
    }
}
