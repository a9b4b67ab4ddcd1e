# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "ml_dtypes==0.6.0"]
# ///
"""Quantization: the formulas of the papers in NumPy, checked by PyTorch where it has them.

    python crates/bitnet-testkit/scripts/goldens/quantization.py

Rounding decisions are made in float32 (float64 of float64), as the library documents. The best
ternary scale is found here by trying every number of nonzero codes and measuring the error.
"""

import numpy as np
import torch

from common import bfloat16, case, normal, rng, save

SCHEMES = ["binary", "absmean", "median", "optimal"]
SCHEMES += [f"{kind} {bits}" for kind in ["symmetric", "asymmetric"] for bits in [2, 4, 8]]


def ternary_error(x, scale):
    codes = (np.abs(x) > scale / 2) * np.sign(x)
    return np.square(x - codes * scale).sum()


def quantize_block(x, scheme):
    """Codes, scale and zero point of a vector of float32 or float64."""
    kind, *bits = scheme.split()
    wide, magnitude = x.dtype.type, np.abs(x)
    levels = {"symmetric": lambda b: 2 ** (b - 1) - 1, "asymmetric": lambda b: 2**b - 1}
    limit = levels[kind](int(bits[0])) if bits else 1
    nothing = x.size == 0
    if not np.isfinite(x).all():
        codes = np.where(x < 0, -1, 1) if kind == "binary" else np.zeros(x.shape)
        return codes, wide(np.nan), 0
    if kind == "asymmetric":
        low, high = (wide(0), wide(0)) if nothing else (min(x.min(), wide(0)), max(x.max(), wide(0)))
        scale = wide((np.float64(high) - np.float64(low)) / limit)
        if scale == 0:
            return np.zeros(x.shape), scale, 0
        zero = -np.round(low / scale)
        return np.clip(np.round(x / scale) + zero, 0, limit), scale, zero
    if kind == "optimal":
        order = np.sort(magnitude.astype(np.float64))[::-1]
        scales = [order[:k].mean() for k in range(1, x.size + 1)] or [0.0]
        errors = [ternary_error(x.astype(np.float64), scale) for scale in scales]
        scale = wide(scales[int(np.argmin(errors))])
    elif kind == "symmetric":
        scale = (wide(0) if nothing else magnitude.max()) / wide(limit)
    else:
        middle = {"binary": np.mean, "absmean": np.mean, "median": np.median}[kind]
        scale = wide(0 if nothing else middle(magnitude.astype(np.float64)))
    if kind == "binary":
        return np.where(x < 0, -1, 1), scale, 0
    if kind in ("absmean", "median"):
        scale = max(scale, wide(1e-5))
        return np.clip(np.round(x * (wide(1) / scale)), -1, 1), scale, 0
    codes = np.zeros(x.shape) if scale == 0 else np.clip(np.round(x / scale), -limit, limit)
    return codes, scale, 0


def blocks_of(x, granularity):
    """The elements as [block, element], and how to bring such an array back to the shape."""
    kind, *number = granularity.split()
    if kind == "tensor":
        return x.reshape(1, -1), lambda y: y.reshape(x.shape), ()
    if kind == "row":
        rows = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
        return rows, lambda y: y.reshape(x.shape), x.shape[:-1]
    if kind == "group":
        size = int(number[0])
        groups = x.reshape(x.size // size, size)
        return groups, lambda y: y.reshape(x.shape), (*x.shape[:-1], x.shape[-1] // size)
    axis = int(number[0])
    moved = np.moveaxis(x, axis, 0)
    flat = moved.reshape(x.shape[axis], x.size // max(x.shape[axis], 1))
    return flat, lambda y: np.moveaxis(y.reshape(moved.shape), 0, axis), (x.shape[axis],)


def quantize(x, scheme, granularity):
    wide = x.astype(np.float64 if x.dtype == np.float64 else np.float32)
    blocks, back, shape = blocks_of(wide, granularity)
    parts = [quantize_block(block, scheme) for block in blocks]
    unsigned = scheme.startswith("asymmetric")
    codes = np.array([codes for codes, _, _ in parts]).reshape(blocks.shape)
    scales = np.array([scale for _, scale, _ in parts], dtype=wide.dtype)
    zeros = np.array([zero for _, _, zero in parts]).astype(np.int32)
    with np.errstate(over="ignore"):
        numbers = (codes - zeros[:, None]).astype(wide.dtype) * scales[:, None]
    outputs = [back(codes.astype(np.uint8 if unsigned else np.int8)), scales.reshape(shape)]
    if unsigned:
        outputs.append(zeros.reshape(shape))
        check_with_torch(blocks, codes, scales, zeros)
    return outputs, back(numbers)


def check_with_torch(blocks, codes, scales, zeros):
    """PyTorch finds the same codes by these scales and zero points."""
    if blocks.size == 0 or not np.isfinite(scales).all() or (scales == 0).any():
        return
    x = torch.from_numpy(blocks.astype(np.float32))
    by_torch = torch.quantize_per_channel(
        x, torch.from_numpy(scales.astype(np.float64)), torch.from_numpy(zeros), 0, torch.quint8
    )
    assert (by_torch.int_repr().numpy() == codes).all(), (by_torch.int_repr(), codes)


def add(x, scheme, granularity):
    outputs, numbers = quantize(x, scheme, granularity)
    case("quantize", [x], [*outputs, numbers], scheme=scheme, granularity=granularity)


# Every scheme with every granularity; then types and shapes.
for scheme in SCHEMES:
    for granularity in ["tensor", "row", "channel 0", "channel 1", "group 1", "group 2"]:
        add(normal(2, 2, 4, scale=2), scheme, granularity)
    for dtype in [np.float64, np.float16, bfloat16]:
        add(normal(2, 5, dtype=dtype), scheme, "row")
    add(normal(), scheme, "tensor")
    add(normal(5), scheme, "row")
    add(normal(5), scheme, "channel 0")
    add(normal(3, 5), scheme, "channel -1")
    for shape in [(0,), (0, 4), (3, 0)]:
        add(np.zeros(shape, np.float32), scheme, "tensor")
        add(np.zeros(shape, np.float32), scheme, "row")
    add(np.zeros((0, 4), np.float32), scheme, "group 2")
    add(np.zeros((3, 0), np.float32), scheme, "channel 0")
    add(np.zeros((3, 0), np.float32), scheme, "group 4")
    special = np.array(
        [
            [0, 0, -0.0, 0],
            [1e-6, -1e-7, 0, 1e-20],
            [1, np.nan, -2, 0.5],
            [np.inf, 1, -1, 2],
            [-np.inf, 1, -1, 2],
            [3e38, -3e38, 1, 0],
            [5, 5, 5, 5],
            [-5, -3, -4, -5],
            [0, 0, 0, 7],
        ],
        dtype=np.float32,
    )
    add(special, scheme, "row")
    # Between two codes.
    add(np.arange(-8, 8, dtype=np.float32)[None] / 2, scheme, "row")

# Symmetric codes by PyTorch, which rounds by the same scale.
x = normal(4, 16)
scales = (np.abs(x).max(1) / np.float32(127)).astype(np.float32)
q = torch.quantize_per_channel(
    torch.from_numpy(x), torch.from_numpy(scales.astype(np.float64)), torch.zeros(4, dtype=torch.int64), 0, torch.qint8
)
case("quantize", [x], [q.int_repr().numpy(), scales, q.dequantize().numpy()], scheme="symmetric 8", granularity="row")
x = normal(3, 7)
scale = np.abs(x).max() / np.float32(127)
q = torch.quantize_per_tensor(torch.from_numpy(x), float(scale), 0, torch.qint8)
case("quantize", [x], [q.int_repr().numpy(), scale, q.dequantize().numpy()], scheme="symmetric 8", granularity="tensor")

# The formulas of BitLinear in transformers: activations to int8, weights to −1, 0, 1.
for x in [
    normal(3, 10),
    normal(1, 2, 5, scale=30),
    np.concatenate([np.zeros((1, 10)), np.arange(-5, 5)[None] / 2]).astype(np.float32),
]:
    largest = np.maximum(np.abs(x).max(-1, keepdims=True), np.float32(1e-5))
    codes = np.clip(np.round(x * (np.float32(127) / largest)), -128, 127).astype(np.int8)
    scales = largest / np.float32(127)
    sums = codes.sum(-1, dtype=np.int32)
    case("quantize_activation", [x], [codes, scales[..., 0], sums])
    case("fake_quantize_activation", [x], [codes.astype(np.float32) * scales])
for shape in [(8, 10), (1, 1), (3, 17)]:
    w = np.round(rng.uniform(-1, 1, shape) * 64).astype(np.float32) / np.float32(64)
    mean = np.float32(max(np.abs(w.astype(np.float64)).mean(), 1e-5))
    codes = np.clip(np.round(w * (np.float32(1) / mean)), -1, 1)
    case("ternarize", [w], [codes.astype(np.int8), np.full(shape[0], mean, np.float32)])

# Fake quantization and its gradient by PyTorch.
for low, high in [(-128, 127), (0, 255), (-8, 7), (0, 3)]:
    x, dy = normal(3, 2, 2, scale=3), normal(3, 2, 2)
    for axis in [None, 0, 1, 2]:
        count = x.shape[axis] if axis is not None else 1
        scales = rng.uniform(0.01, 0.5, count).astype(np.float32)
        zeros = rng.integers(low, high, count, dtype=np.int32, endpoint=True)
        v = torch.from_numpy(x).requires_grad_()
        if axis is None:
            scales, zeros = scales.reshape(()), zeros.reshape(())
            y = torch.fake_quantize_per_tensor_affine(v, float(scales), int(zeros), low, high)
        else:
            y = torch.fake_quantize_per_channel_affine(
                v, torch.from_numpy(scales), torch.from_numpy(zeros), axis, low, high
            )
        y.backward(torch.from_numpy(dy))
        outputs = [y.detach().numpy(), v.grad.numpy()]
        case("fake_quantize_affine", [x, scales, zeros, dy], outputs, axis=axis or 0, low=low, high=high)

# Codes in bytes, by NumPy's packing of bits.
for bits in [1, 2, 4, 8]:
    for shape in [(1,), (8,), (9,), (3, 7), (2, 2, 16), (0, 5), (3, 0)]:
        codes = rng.integers(0, 1 << bits, shape, dtype=np.uint8)
        single = (codes[..., None] >> np.arange(bits, dtype=np.uint8)) & 1
        row = single.reshape(*shape[:-1], shape[-1] * bits)
        case("pack_bits", [codes], [np.packbits(row, axis=-1, bitorder="little")], bits=bits)

# Measures of the error.
for dtype in [np.float32, np.float64, np.float16, bfloat16]:
    for shape in [(), (7,), (3, 5)]:
        x = normal(*shape, dtype=dtype)
        y = (x.astype(np.float64) + rng.standard_normal(shape) * 0.1).astype(dtype)
        a, b = x.astype(np.float64), y.astype(np.float64)
        mse = np.mean(np.square(a - b))
        measures = [
            mse,
            10 * np.log10(np.sum(a * a) / np.sum(np.square(a - b))),
            10 * np.log10(np.max(np.abs(a)) ** 2 / mse),
            np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b)),
            np.max(np.abs(a - b)),
        ]
        case("quantization_error", [np.asarray(x), np.asarray(y)], [np.array(measures)])

save("quantization")
