//! Random parameters of given shapes: speed without a download.

use bitnet_nn::{BitLinear, Embedding, Projection, RmsNorm};
use bitnet_tensor::{BitNetDType, BitNetTensor, CodeLayout, Device};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::decoder::{AttentionBlock, Decoder, DecoderLayer, FeedForward, HeadNorms};
use super::head::OutputHead;
use super::load::{gate_kind, rotary};
use super::{LoadOptions, Progress};
use crate::config::{Architecture, ModelConfig};
use crate::error::Result;

pub(super) fn decoder(
    config: &ModelConfig,
    seed: u64,
    options: &LoadOptions<'_>,
    context: usize,
) -> Result<Decoder> {
    let device = options.device;
    let mut random = Random { bits: Xoshiro256PlusPlus::seed_from_u64(seed), device };
    let (hidden, ffn, eps) =
        (config.hidden_size, config.intermediate_size, config.rms_norm_eps as f32);
    let (heads, kv_heads, head_dim) =
        (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    let norm =
        |width: usize| RmsNorm::new(&BitNetTensor::full([width], 1.0f32)?.to_device(device)?, eps);
    let sub_norm = |width: usize| match config.architecture {
        Architecture::BitNet => norm(width).map(Some),
        Architecture::Llama | Architecture::Qwen3 => Ok(None),
    };
    let head_norms = || -> bitnet_tensor::Result<Option<HeadNorms>> {
        Ok(match config.architecture {
            Architecture::Qwen3 => Some(HeadNorms { query: norm(head_dim)?, key: norm(head_dim)? }),
            Architecture::BitNet | Architecture::Llama => None,
        })
    };
    let mut layers = Vec::new();
    for index in 0..config.num_hidden_layers {
        layers.push(DecoderLayer {
            attention: AttentionBlock {
                input_norm: norm(hidden)?,
                qkv: random.projection((heads + 2 * kv_heads) * head_dim, hidden)?,
                head_norms: head_norms()?,
                sub_norm: sub_norm(heads * head_dim)?,
                output: random.projection(hidden, heads * head_dim)?,
                heads,
                kv_heads,
                head_dim,
            },
            feed_forward: FeedForward {
                input_norm: norm(hidden)?,
                gate_up: random.projection(2 * ffn, hidden)?,
                activation: gate_kind(config.hidden_act),
                sub_norm: sub_norm(ffn)?,
                down: random.projection(hidden, ffn)?,
                width: ffn,
            },
        });
        if let Some(progress) = options.progress {
            progress(Progress { done: index + 1, total: config.num_hidden_layers });
        }
    }
    let embedding = random.embedding(config.vocab_size, hidden)?;
    Ok(Decoder {
        head: OutputHead::new(embedding.clone(), options.output_head)?,
        embedding: Embedding::new(embedding),
        layers,
        norm: norm(hidden)?,
        rotary: rotary(config, None, context, options.device)?,
    })
}

struct Random {
    bits: Xoshiro256PlusPlus,
    device: Device,
}

/// Fills `bytes` with uniform codes of two bits, none of them 3: four in each byte, which is one of 81
/// combinations.
pub(crate) fn fill_ternary_codes(random: &mut Xoshiro256PlusPlus, bytes: &mut [u8]) {
    let combination = |n: u8| (n % 3) | ((n / 3 % 3) << 2) | ((n / 9 % 3) << 4) | ((n / 27) << 6);
    let combinations: [u8; 81] = std::array::from_fn(|n| combination(n as u8));
    random.fill_bytes(bytes);
    for byte in bytes {
        *byte = combinations[usize::from(*byte) * 81 / 256];
    }
}

impl Random {
    /// Uniform codes, and the scale that keeps activations of unit size.
    fn projection(&mut self, rows: usize, columns: usize) -> bitnet_tensor::Result<Projection> {
        let mut bytes = vec![0u8; rows.div_ceil(4) * columns];
        fill_ternary_codes(&mut self.bits, &mut bytes);
        let codes = BitNetTensor::from_slice(&bytes, [bytes.len()])?;
        let scale = 1.0 / (columns as f32 * 2.0 / 3.0).sqrt();
        let scales = BitNetTensor::full([rows], scale)?;
        let weight = BitNetTensor::packed_from_parts(
            CodeLayout::HuggingFace,
            codes.to_device(self.device)?,
            scales.to_device(self.device)?,
            [rows, columns],
        )?;
        Ok(Projection::Ternary(BitLinear::new(&[&weight])?))
    }

    /// Uniform numbers of −0.05 to 0.05, as `BF16`.
    fn embedding(&mut self, rows: usize, columns: usize) -> bitnet_tensor::Result<BitNetTensor> {
        let mut table = BitNetTensor::empty([rows, columns], BitNetDType::BF16, Device::CPU)?;
        for value in table.try_mut::<half::bf16>()? {
            // Sixteen random bits as the mantissa of a number in [1, 2).
            let unit = f32::from_bits(0x3f80_0000 | (self.bits.next_u32() >> 9)) - 1.5;
            *value = half::bf16::from_f32(0.1 * unit);
        }
        table.to_device(self.device)
    }
}
