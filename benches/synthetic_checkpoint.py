#!/usr/bin/env python3
"""Writes a checkpoint of the shapes of BitNet b1.58 2B-4T with random weights, packed as Hugging
Face packs them, to measure loading with, or with bf16 masters, to measure converting:
synthetic_checkpoint.py DIRECTORY [LAYERS] [--bf16].

The tokenizer is the stories model's; its 4,096 tokens are the first of the 128,256.
Needs nothing but Python; the same seed gives the same file.
"""

import json
import pathlib
import random
import shutil
import struct
import sys

HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2560, 6912, 20, 5, 128, 128256
STORIES = pathlib.Path(__file__).resolve().parent.parent / "models" / "stories-27m"

# A byte of four codes 0, 1 or 2 for each random byte.
CODES = bytes(
    sum((n * 81 // 256 // 3**i % 3) << (2 * i) for i in range(4)) for n in range(256)
)
# The upper byte of a bfloat16 between 2^-7 and 2^-5 of either sign.
UPPER = bytes(0x3C | (n & 0x80) for n in range(256))
ONE, SCALE = struct.pack("<H", 0x3F80), struct.pack("<H", 0x3C80)


def tensors(layers, masters):
    """Name, dtype, shape of every tensor, in the order of the file."""
    yield "model.embed_tokens.weight", "BF16", [VOCAB, HIDDEN]
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, width in [
            ("input_layernorm", HIDDEN),
            ("post_attention_layernorm", HIDDEN),
            ("self_attn.attn_sub_norm", HEADS * HEAD_DIM),
            ("mlp.ffn_sub_norm", FFN),
        ]:
            yield f"{prefix}{name}.weight", "BF16", [width]
        for name, out, inner in [
            ("self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM),
            ("mlp.gate_proj", FFN, HIDDEN),
            ("mlp.up_proj", FFN, HIDDEN),
            ("mlp.down_proj", HIDDEN, FFN),
        ]:
            if masters:
                yield f"{prefix}{name}.weight", "BF16", [out, inner]
                continue
            yield f"{prefix}{name}.weight", "U8", [out // 4, inner]
            yield f"{prefix}{name}.weight_scale", "BF16", [1]
    yield "model.norm.weight", "BF16", [HIDDEN]


def contents(generator, name, dtype, count):
    """The bytes of a tensor, in pieces."""
    if name.endswith("weight_scale"):
        yield SCALE
    elif name.endswith("norm.weight"):
        yield ONE * count
    else:
        while count:
            piece = min(count, 1 << 24)
            if dtype == "U8":
                yield generator.randbytes(piece).translate(CODES)
            else:
                values = bytearray(2 * piece)
                values[0::2] = generator.randbytes(piece)
                values[1::2] = generator.randbytes(piece).translate(UPPER)
                yield bytes(values)
            count -= piece


def main():
    masters = "--bf16" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--bf16"]
    directory = pathlib.Path(arguments[0])
    layers = int(arguments[1]) if len(arguments) > 1 else 30
    directory.mkdir(parents=True, exist_ok=True)
    config = json.loads((STORIES / "config.json").read_text())
    config |= {
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCAB,
        "max_position_embeddings": 4096,
    }
    if masters:
        config["quantization_config"]["quantization_mode"] = "online"
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(STORIES / name, directory / name)

    header, offset, order = {}, 0, list(tensors(layers, masters))
    for name, dtype, shape in order:
        count = 1
        for size in shape:
            count *= size
        end = offset + count * (1 if dtype == "U8" else 2)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = random.Random(0)
    with open(directory / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, dtype, shape in order:
            begin, end = header[name]["data_offsets"]
            count = (end - begin) // (1 if dtype == "U8" else 2)
            for piece in contents(generator, name, dtype, count):
                file.write(piece)


if __name__ == "__main__":
    main()
