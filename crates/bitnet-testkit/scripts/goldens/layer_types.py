# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "ml_dtypes==0.6.0"]
# ///
"""Layers of every type of float, and of nothing: what PyTorch makes of them.

    python crates/bitnet-testkit/scripts/goldens/layer_types.py

The sizes are small; `layers.py` has the variety of shapes.
"""

import numpy as np
import torch
import torch.nn.functional as F

from common import bfloat16, case, normal, save
from layer import layer

FLOATS = [np.float32, np.float64, np.float16, bfloat16]

# What each type makes of what was asked of float32 above.
for dtype in [np.float64, np.float16, bfloat16]:
    x, weight, bias = normal(2, 4, 7, dtype=dtype), normal(6, 2, 3, dtype=dtype), normal(6, dtype=dtype)
    how = {"stride": [2], "padding": [1], "dilation": [1], "groups": 2}
    layer("conv1d", lambda x, w, b: F.conv1d(x, w, b, **how), [x, weight, bias], **how)
    x, weight, bias = normal(1, 4, 5, 6, dtype=dtype), normal(4, 1, 3, 2, dtype=dtype), normal(4, dtype=dtype)
    how = {"stride": [1, 2], "padding": [2, 0], "dilation": [2, 1], "groups": 4}
    layer("conv2d", lambda x, w, b: F.conv2d(x, w, b, **how), [x, weight, bias], **how)
    x, weight, bias = normal(1, 4, 3, dtype=dtype), normal(4, 2, 2, dtype=dtype), normal(4, dtype=dtype)
    how = {"stride": [2], "padding": [0], "dilation": [1], "groups": 2}
    layer("convolution_transposed", lambda x, w, b: F.conv_transpose1d(x, w, b, output_padding=1, **how),
          [x, weight, bias], extra=[1], **how)
    how = {"kernel": [2], "stride": [1], "padding": [1]}
    x = normal(1, 2, 5, dtype=dtype)
    layer("max_pool", lambda x: F.max_pool1d(x, [2], [1], [1]), [x], **how)
    layer("avg_pool", lambda x: F.avg_pool1d(x, [2], [1], [1]), [x], **how)
    x = normal(3, 8, dtype=dtype)
    layer("glu", lambda x: F.glu(x, -1), [x], axis=-1)
    layer("swiglu", lambda x: F.silu(x[:, :4]) * x[:, 4:], [x], axis=1)
for dtype in [np.float16, bfloat16]:
    x, target = normal(3, 4, dtype=dtype), normal(3, 4, dtype=dtype)
    for name, function in [("mse_loss", F.mse_loss), ("l1_loss", F.l1_loss)]:
        layer(name, lambda x, t: function(x, t, reduction="none"), [x, target], reduction="none")
for dtype in FLOATS:
    x, weight = normal(2, 3, 6, dtype=dtype), normal(6, dtype=dtype)
    layer("rms_norm", lambda x, w: F.rms_norm(x, (6,), w, 1e-3), [x, weight], eps=1e-3)
    gate, up = normal(3, 5, dtype=dtype), normal(3, 5, dtype=dtype)
    layer("gate", lambda g, u: F.silu(g) * u, [gate, up], kind="silu")
    layer("gate", lambda g, u: F.relu(g) ** 2 * u, [gate, up], kind="relu_squared")
    table, ids = normal(5, 3, dtype=dtype), np.array([[4, 0], [0, 2]])
    case("embedding", [table, ids], [table[ids]])
    x, angles = normal(2, 3, 2, 6, dtype=dtype), np.outer(np.arange(5), [1.0, 0.3, 0.05])
    cos, sin = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
    at = np.array([[0, 3, 4], [2, 2, 1]], np.uint32)
    c, s = (t.astype(np.float64)[at][:, :, None] for t in (cos, sin))
    wide_x = x.astype(np.float64)
    a, b = wide_x[..., :3], wide_x[..., 3:]
    turned = np.concatenate([a * c - b * s, b * c + a * s], -1).astype(dtype)
    case("rope", [x, cos, sin, at], [turned], adjacent=False)
    a, b = wide_x[..., ::2], wide_x[..., 1::2]
    turned = np.stack([a * c - b * s, b * c + a * s], -1).reshape(x.shape).astype(dtype)
    case("rope", [x, cos, sin, at], [turned], adjacent=True)

# Attention in every type: windows, which PyTorch is told as masks; masks of heads; no keys.
place = torch.arange(4)[:, None] - torch.arange(6)[None]
for dtype in FLOATS:
    q, k, v = normal(2, 4, 4, 8, dtype=dtype), normal(2, 2, 6, 8, dtype=dtype), normal(2, 2, 6, 3, dtype=dtype)
    for before, after in [(1, 0), (2, 1), (0, 0), (None, 2), (3, None)]:
        seen = torch.ones(4, 6, dtype=torch.bool)
        if before is not None:
            seen &= place <= before
        if after is not None:
            seen &= place >= -after
        layer("attention_of_masks",
              lambda q, k, v: F.scaled_dot_product_attention(q, k, v, seen, enable_gqa=True), [q, k, v],
              causal=False, window=[-1 if n is None else n for n in (before, after)])
    added = normal(4, 4, 6, dtype=dtype)
    layer("attention_of_masks", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, enable_gqa=True),
          [q, k, v, added], causal=False)

# Nothing: of no rows, no channels left.
for name, function in [("softmax", lambda x: x.softmax(-1)), ("log_softmax", lambda x: x.log_softmax(-1))]:
    layer(name, function, [np.zeros((0, 3), np.float32)], axis=-1)
    layer(name, function, [np.zeros((2, 0), np.float32)], axis=-1)
layer("layer_norm", lambda x: F.layer_norm(x, (3,)), [np.zeros((0, 3), np.float32)], sizes=[3], eps=1e-5)
layer("rms_norm", lambda x, w: F.rms_norm(x, (3,), w, 1e-5), [np.zeros((0, 3), np.float32), normal(3)], eps=1e-5)
case("embedding", [normal(4, 2), np.zeros((0, 3), np.int64)], [np.zeros((0, 3, 2), np.float32)])
how = {"stride": [1], "padding": [1], "dilation": [1], "groups": 1}
layer("conv1d", lambda x, w, b: F.conv1d(x, w, b, **how),
      [np.zeros((0, 2, 5), np.float32), normal(3, 2, 3), normal(3)], **how)
for reduction in ["none", "sum"]:
    nothing = np.zeros((0, 4), np.float32)
    for name, function in [("mse_loss", F.mse_loss), ("l1_loss", F.l1_loss)]:
        layer(name, lambda x, t: function(x, t, reduction=reduction), [nothing, nothing], reduction=reduction)

save("layer_types")
