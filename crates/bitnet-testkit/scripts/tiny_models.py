# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6"]
# ///
"""Tiny models with random weights and their logits, computed in NumPy from the definitions.

    python crates/bitnet-testkit/scripts/tiny_models.py

Writes to `crates/bitnet-llm/tests/golden/tiny`: a Llama with Llama 3's frequencies and an untied head,
and a Qwen 3 with a tied one, each as a Hugging Face directory and as a GGUF file, and `logits.json` with
the logits of one prompt in float64. The GGUF file of the Llama has its query and key rows sorted for
the rotation of adjacent pairs, as llama.cpp's converter sorts them.
"""

import json
import struct
from pathlib import Path

import gguf
import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "bitnet-llm/tests/golden/tiny"
VOCAB, HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 40, 32, 48, 2, 4, 2, 16
EPS = 1e-5
THETA = 10000.0
PROMPT = [3, 17, 5, 29, 11, 0, 38, 21, 5, 8]
# The wavelengths of this model's frequencies lie on both sides of and between these bounds.
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def weights(kind, random):
    def matrix(rows, columns):
        return (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    def norm(width):
        return (1 + 0.3 * random.standard_normal(width)).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(VOCAB, HIDDEN) * 3}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        tensors |= {
            f"{prefix}.input_layernorm.weight": norm(HIDDEN),
            f"{prefix}.self_attn.q_proj.weight": matrix(HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}.self_attn.k_proj.weight": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}.self_attn.v_proj.weight": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}.self_attn.o_proj.weight": matrix(HIDDEN, HEADS * HEAD_DIM),
            f"{prefix}.post_attention_layernorm.weight": norm(HIDDEN),
            f"{prefix}.mlp.gate_proj.weight": matrix(FFN, HIDDEN),
            f"{prefix}.mlp.up_proj.weight": matrix(FFN, HIDDEN),
            f"{prefix}.mlp.down_proj.weight": matrix(HIDDEN, FFN),
        }
        if kind == "qwen3":
            tensors[f"{prefix}.self_attn.q_norm.weight"] = norm(HEAD_DIM)
            tensors[f"{prefix}.self_attn.k_norm.weight"] = norm(HEAD_DIM)
    tensors["model.norm.weight"] = norm(HIDDEN)
    if kind == "llama":
        tensors["lm_head.weight"] = matrix(VOCAB, HIDDEN) * 2
    return tensors


def llama3_factors():
    """What divides each frequency."""
    wavelengths = 2 * np.pi * THETA ** (np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    low = LLAMA3["original_max_position_embeddings"] / LLAMA3["low_freq_factor"]
    high = LLAMA3["original_max_position_embeddings"] / LLAMA3["high_freq_factor"]
    factors = []
    for wavelength in wavelengths:
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(LLAMA3["factor"])
        else:
            smooth = LLAMA3["original_max_position_embeddings"] / wavelength
            smooth -= LLAMA3["low_freq_factor"]
            smooth /= LLAMA3["high_freq_factor"] - LLAMA3["low_freq_factor"]
            factors.append(1 / ((1 - smooth) / LLAMA3["factor"] + smooth))
    assert len(set(factors)) >= 3
    return np.array(factors)


def rms_norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight


def rotate(x, frequencies):
    """Halves rotate together; x is [tokens, heads, head_dim]."""
    angles = np.arange(len(x))[:, None] * frequencies
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    a, b = np.split(x, 2, -1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def forward(kind, tensors):
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    frequencies = THETA ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    if kind == "llama":
        frequencies = frequencies / llama3_factors()
    x = t["model.embed_tokens.weight"][PROMPT]
    count = len(PROMPT)
    mask = np.triu(np.full((count, count), -np.inf), 1)
    for layer in range(LAYERS):
        def get(name):
            return t[f"model.layers.{layer}.{name}.weight"]

        h = rms_norm(x, get("input_layernorm"))
        q = (h @ get("self_attn.q_proj").T).reshape(count, HEADS, HEAD_DIM)
        k = (h @ get("self_attn.k_proj").T).reshape(count, KV_HEADS, HEAD_DIM)
        v = (h @ get("self_attn.v_proj").T).reshape(count, KV_HEADS, HEAD_DIM)
        if kind == "qwen3":
            q, k = rms_norm(q, get("self_attn.q_norm")), rms_norm(k, get("self_attn.k_norm"))
        q, k = rotate(q, frequencies), rotate(k, frequencies)
        attended = np.empty_like(q)
        for head in range(HEADS):
            shared = head // (HEADS // KV_HEADS)
            scores = q[:, head] @ k[:, shared].T / np.sqrt(HEAD_DIM) + mask
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            attended[:, head] = scores / scores.sum(-1, keepdims=True) @ v[:, shared]
        x = x + attended.reshape(count, -1) @ get("self_attn.o_proj").T
        h = rms_norm(x, get("post_attention_layernorm"))
        gate = h @ get("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ get("mlp.up_proj").T)) @ get("mlp.down_proj").T
    head = t.get("lm_head.weight", t["model.embed_tokens.weight"])
    return rms_norm(x, t["model.norm.weight"]) @ head.T


def tokens():
    return ["<s>", "</s>"] + [chr(0x21 + i) for i in range(VOCAB - 2)]


def write_directory(path, kind, tensors):
    path.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": [{"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}[kind]],
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCAB,
        "max_position_embeddings": 128,
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "rope_scaling": LLAMA3 if kind == "llama" else None,
        "tie_word_embeddings": kind == "qwen3",
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    special = [
        {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, text in enumerate(tokens()[:2])
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {text: i for i, text in enumerate(tokens())}, "merges": []},
    }
    (path / "tokenizer.json").write_text(json.dumps(tokenizer) + "\n")
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def adjacent_pairs(tensor, heads):
    """Rows sorted so that adjacent ones rotate together."""
    return tensor.reshape(heads, 2, HEAD_DIM // 2, -1).swapaxes(1, 2).reshape(tensor.shape)


def write_gguf(path, kind, tensors):
    writer = gguf.GGUFWriter(path, kind)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_rope_freq_base(THETA)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens())
    writer.add_token_types([3, 3] + [1] * (VOCAB - 2))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, tensor in tensors.items():
        module = name.removesuffix(".weight")
        if module.startswith("model.layers."):
            layer, parameter = module.removeprefix("model.layers.").split(".", 1)
            stored = f"blk.{layer}.{NAMES[parameter]}.weight"
            if kind == "llama" and parameter == "self_attn.q_proj":
                tensor = adjacent_pairs(tensor, HEADS)
            if kind == "llama" and parameter == "self_attn.k_proj":
                tensor = adjacent_pairs(tensor, KV_HEADS)
        else:
            stored = f"{NAMES[module]}.weight"
        writer.add_tensor(stored, np.ascontiguousarray(tensor))
    if kind == "llama":
        writer.add_tensor("rope_freqs.weight", llama3_factors().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    golden = {"ids": PROMPT}
    for kind in ["llama", "qwen3"]:
        tensors = weights(kind, np.random.default_rng(len(kind)))
        write_directory(FOLDER / kind, kind, tensors)
        write_gguf(FOLDER / f"{kind}.gguf", kind, tensors)
        golden[kind] = [[round(x, 7) for x in row] for row in forward(kind, tensors).tolist()]
    (FOLDER / "logits.json").write_text(json.dumps(golden) + "\n")


main()
