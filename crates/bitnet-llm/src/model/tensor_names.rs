//! The names of a model's tensors: Hugging Face's, by which the loader asks, and GGUF's, in one
//! table for both directions.

/// Tensors outside of the layers: Hugging Face's name and GGUF's.
const WHOLE: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];

/// Parameters of a layer, without `model.layers.N.` or `blk.N.` and without what follows the last
/// point.
const IN_LAYER: [(&str, &str); 13] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.attn_sub_norm", "attn_sub_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.ffn_sub_norm", "ffn_sub_norm"),
    ("mlp.down_proj", "ffn_down"),
];

/// What a tensor holds of its parameter. A `weight_scale` of Hugging Face multiplies or divides, as
/// the configuration says; a `scale` of GGUF multiplies.
const KINDS: [(&str, &str); 3] =
    [("weight", "weight"), ("bias", "bias"), ("weight_scale", "scale")];

/// The divisors of the rotary frequencies in a GGUF file: what Hugging Face computes from
/// `rope_scaling`.
pub const GGUF_ROPE_FREQS: &str = "rope_freqs.weight";

/// The name in a GGUF file of the tensor that Hugging Face calls `name`; `None` for one that GGUF
/// has no name for.
///
/// ```
/// use bitnet_llm::model::tensor_names::gguf_name;
///
/// let name = gguf_name("model.layers.7.self_attn.q_proj.weight");
/// assert_eq!(name.as_deref(), Some("blk.7.attn_q.weight"));
/// ```
#[must_use]
pub fn gguf_name(name: &str) -> Option<String> {
    if let Some((_, gguf)) = WHOLE.iter().find(|(hugging_face, _)| *hugging_face == name) {
        return Some((*gguf).to_owned());
    }
    let (layer, parameter, kind) = parts(name.strip_prefix("model.layers.")?)?;
    let (_, parameter) = IN_LAYER.iter().find(|(hugging_face, _)| *hugging_face == parameter)?;
    let (_, kind) = KINDS.iter().find(|(hugging_face, _)| *hugging_face == kind)?;
    Some(format!("blk.{layer}.{parameter}.{kind}"))
}

/// The name that Hugging Face gives the tensor that a GGUF file calls `name`; `None` for one that
/// it has no name for.
///
/// ```
/// use bitnet_llm::model::tensor_names::hugging_face_name;
///
/// let name = hugging_face_name("blk.7.attn_q.weight");
/// assert_eq!(name.as_deref(), Some("model.layers.7.self_attn.q_proj.weight"));
/// ```
#[must_use]
pub fn hugging_face_name(name: &str) -> Option<String> {
    if let Some((hugging_face, _)) = WHOLE.iter().find(|(_, gguf)| *gguf == name) {
        return Some((*hugging_face).to_owned());
    }
    let (layer, parameter, kind) = parts(name.strip_prefix("blk.")?)?;
    let (parameter, _) = IN_LAYER.iter().find(|(_, gguf)| *gguf == parameter)?;
    let (kind, _) = KINDS.iter().find(|(_, gguf)| *gguf == kind)?;
    Some(format!("model.layers.{layer}.{parameter}.{kind}"))
}

/// `7.self_attn.q_proj.weight` as layer, parameter and kind.
fn parts(rest: &str) -> Option<(usize, &str, &str)> {
    let (layer, rest) = rest.split_once('.')?;
    let (parameter, kind) = rest.rsplit_once('.')?;
    Some((layer.parse().ok()?, parameter, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree() {
        for (name, gguf) in WHOLE {
            assert_eq!(gguf_name(name).as_deref(), Some(gguf));
            assert_eq!(hugging_face_name(gguf).as_deref(), Some(name));
        }
        for (parameter, gguf_parameter) in IN_LAYER {
            for (kind, gguf_kind) in KINDS {
                let name = format!("model.layers.11.{parameter}.{kind}");
                let gguf = format!("blk.11.{gguf_parameter}.{gguf_kind}");
                assert_eq!(gguf_name(&name), Some(gguf.clone()));
                assert_eq!(hugging_face_name(&gguf), Some(name));
            }
        }
        for name in ["", "model.layers.x.mlp.up_proj.weight", "model.layers.1.mlp.weight", "blk.1"]
        {
            assert_eq!(gguf_name(name), None);
            assert_eq!(hugging_face_name(name), None);
        }
    }
}
