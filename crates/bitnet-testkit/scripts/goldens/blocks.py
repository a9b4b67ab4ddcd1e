# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "gguf==0.19.0"]
# ///
"""Block formats of weight files: what PyPI `gguf`, the reference in Python, writes and reads.

    python crates/bitnet-testkit/scripts/goldens/blocks.py

Every text is hexadecimal, little-endian. `values` are the numbers that every format quantizes;
of `bytes` (its own blocks, and random ones with finite scales) the numbers are `numbers`.
"""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

FILE = Path(__file__).parent.parent.parent / "goldens" / "blocks.json"
QUANTIZED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "TQ1_0", "TQ2_0"]
# Where the f16 scales of a block are.
READ = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
LEN = 256

rng = np.random.default_rng(20261125)


def blocks():
    """Rows of 256 numbers: ordinary ones, and each way to be awkward."""
    f32 = np.float32
    normal = rng.standard_normal((3, LEN)).astype(f32)
    yield from normal
    yield rng.uniform(-1, 1, LEN).astype(f32) * f32(0.02)
    yield np.zeros(LEN, f32)
    yield -np.zeros(LEN, f32)
    ternary = rng.integers(-1, 2, LEN).astype(f32) * f32(0.37)
    yield ternary
    outlier = normal[0] * f32(1e-3)
    outlier[77] = f32(1000)
    yield outlier
    # Ties: halves of a code for scales that are powers of two.
    yield np.tile(np.arange(-16, 16, dtype=f32) / f32(2), 8)
    yield np.tile(np.concatenate([[127], np.arange(-15.5, 15.5)]).astype(f32), 8)
    yield np.tile(np.concatenate([[-8], np.arange(-7.75, 7.75, 0.5)]).astype(f32), 8)
    yield np.tile(np.array([0.5, -0.5, 1, -1, 0.49999997, -0.49999997, 0.50000006, 0], f32), 32)
    # The largest that all scales hold, numbers that are subnormal as f16, and as f32.
    yield rng.uniform(-65504, 65504, LEN).astype(f32)
    yield rng.uniform(-1, 1, LEN).astype(f32) * f32(1e-6)
    yield rng.uniform(-1, 1, LEN).astype(f32) * f32(1e-35)
    yield np.full(LEN, 0.1, f32)
    # The largest magnitude twice, with both signs.
    twice = normal[1].clip(-1, 1)
    yield twice


def text(array):
    return np.ascontiguousarray(array).view(np.uint8).tobytes().hex()


def main():
    values = np.stack(list(blocks()))
    entries = {"values": text(values), "formats": {}}
    with np.errstate(all="ignore"):
        for name in QUANTIZED:
            packed = gguf.quants.quantize(values, Type[name])
            random = rng.integers(0, 256, packed.shape[1], dtype=np.uint8)
            block_len, block_bytes = gguf.GGML_QUANT_SIZES[Type[name]]
            scales = {"TQ1_0": [52], "TQ2_0": [64]}.get(name, [0, 2] if name.endswith("_1") else [0])
            random = with_scales(random, block_bytes, scales)
            both = np.concatenate([packed[:3], random[None]])
            numbers = gguf.quants.dequantize(both, Type[name])
            entries["formats"][name] = {
                "packed": text(packed), "bytes": text(both), "numbers": text(numbers)
            }
        for name, scales in READ.items():
            block_bytes = gguf.GGML_QUANT_SIZES[Type[name]][1]
            random = rng.integers(0, 256, 3 * block_bytes, dtype=np.uint8)
            random = with_scales(random, block_bytes, scales)
            numbers = gguf.quants.dequantize(random, Type[name])
            entries["formats"][name] = {"bytes": text(random), "numbers": text(numbers)}
    FILE.write_text(json.dumps(entries, indent=0) + "\n")
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


def with_scales(random, block_bytes, places):
    """The bytes with scales of ordinary size."""
    random = random.reshape(-1, block_bytes)
    for place in places:
        scales = rng.standard_normal(len(random)).astype(np.float16)
        random[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return random.reshape(-1)


main()
