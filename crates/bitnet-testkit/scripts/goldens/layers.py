# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "ml_dtypes==0.6.0"]
# ///
"""Layers and losses of neural networks: what PyTorch makes of them.

    python crates/bitnet-testkit/scripts/goldens/layers.py

PyTorch computes in float64; the result is rounded once to the type of the operands.
"""

import numpy as np
import torch
import torch.nn.functional as F

from common import bfloat16, normal, save
from layer import layer

FLOATS = [np.float32, np.float64, np.float16, bfloat16]


# Softmax along every axis.
for dtype in FLOATS:
    for axis in [0, 1, -1]:
        x = normal(2, 3, 5, dtype=dtype, scale=3)
        layer("softmax", lambda x: x.softmax(axis), [x], axis=axis)
        layer("log_softmax", lambda x: x.log_softmax(axis), [x], axis=axis)
edge = np.array([[0, 1000, -1000], [-np.inf, 0, 1], [np.inf, 0, 1], [np.nan, 0, 1]], dtype=np.float32)
for dtype in [np.float32, np.float64]:
    layer("softmax", lambda x: x.softmax(-1), [edge.astype(dtype)], axis=-1)
    layer("softmax", lambda x: x.softmax(0), [edge[:2].T.copy().astype(dtype)], axis=0)

# Normalisation.
for dtype in FLOATS:
    x, w, b = normal(2, 3, 4, 5, dtype=dtype), normal(4, 5, dtype=dtype), normal(4, 5, dtype=dtype)
    layer("layer_norm", lambda x, w, b: F.layer_norm(x, (4, 5), w, b, 1e-5), [x, w, b], sizes=[4, 5], eps=1e-5)
    layer("layer_norm", lambda x: F.layer_norm(x, (5,), eps=1e-3), [x], sizes=[5], eps=1e-3)
    x, w, b = normal(2, 6, 5, dtype=dtype), normal(6, dtype=dtype), normal(6, dtype=dtype)
    for groups in [1, 2, 3, 6]:
        layer("group_norm", lambda x, w, b: F.group_norm(x, groups, w, b), [x, w, b], groups=groups, eps=1e-5)
    layer("instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), [x, w, b], eps=1e-5)
    mean, var = normal(6, dtype=dtype), np.abs(normal(6, dtype=dtype)) + np.asarray(0.5, dtype)
    layer("batch_norm", lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b), [x, mean, var, w, b], eps=1e-5)

# Convolutions: groups, strides, paddings, dilations; one, two and three axes.
CONVOLUTIONS = [
    ((2, 4, 9), (6, 4, 3), [2], [1], [1], 1),
    ((1, 4, 9), (4, 1, 2), [1], [3], [3], 4),
    ((2, 4, 7, 6), (6, 2, 3, 2), [2, 1], [1, 2], [1, 2], 2),
    ((1, 3, 5, 5), (2, 3, 1, 1), [1, 1], [0, 0], [1, 1], 1),
    ((1, 2, 4, 5, 3), (3, 2, 2, 3, 1), [1, 2, 1], [1, 0, 1], [2, 1, 1], 1),
]
for x, weight, stride, padding, dilation, groups in CONVOLUTIONS:
    for dtype in [np.float32, np.float64]:
        operands = [normal(*x, dtype=dtype), normal(*weight, dtype=dtype), normal(weight[0], dtype=dtype)]
        function = [F.conv1d, F.conv2d, F.conv3d][len(stride) - 1]
        how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        layer("convolution", lambda x, w, b: function(x, w, b, **how), operands, **how)
TRANSPOSED = [
    ((2, 4, 5), (4, 3, 3), [2], [1], [1], 1, [1]),
    ((1, 4, 3, 4), (4, 2, 2, 3), [2, 3], [0, 1], [1, 2], 2, [1, 0]),
]
for x, weight, stride, padding, dilation, groups, extra in TRANSPOSED:
    operands = [normal(*x), normal(*weight), normal(weight[1] * groups)]
    function = [F.conv_transpose1d, F.conv_transpose2d][len(stride) - 1]
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer("convolution_transposed", lambda x, w, b: function(x, w, b, output_padding=extra, **how), operands,
          extra=extra, **how)

# Pooling.
for kernel, stride, padding in [([2], [2], [1]), ([3], [1], [0])]:
    how = {"kernel": kernel, "stride": stride, "padding": padding}
    x = normal(2, 3, 9)
    layer("max_pool", lambda x: F.max_pool1d(x, kernel, stride, padding), [x], **how)
    layer("avg_pool", lambda x: F.avg_pool1d(x, kernel, stride, padding), [x], **how)
for kernel, stride, padding in [([2, 3], [2, 1], [1, 0]), ([3, 3], [3, 2], [1, 1])]:
    how = {"kernel": kernel, "stride": stride, "padding": padding}
    for dtype in [np.float32, np.float16]:
        x = normal(1, 2, 7, 8, dtype=dtype)
        layer("max_pool", lambda x: F.max_pool2d(x, kernel, stride, padding), [x], **how)
        layer("avg_pool", lambda x: F.avg_pool2d(x, kernel, stride, padding), [x], **how)

# Gated units.
x = normal(3, 8)
layer("glu", lambda x: F.glu(x, -1), [x], axis=-1)
layer("swiglu", lambda x: F.silu(x[:, :4]) * x[:, 4:], [x], axis=1)

# Attention: shared heads, masks of both kinds, causal.
q, k, v = normal(2, 4, 3, 8), normal(2, 2, 5, 8), normal(2, 2, 5, 6)
for causal in [False, True]:
    layer("attention_of_masks",
          lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True),
          [q, k, v], causal=causal)
added = normal(3, 5)
layer("attention_of_masks", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, enable_gqa=True),
      [q, k, v, added], causal=False)
seen = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
layer("attention_of_masks", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, enable_gqa=True),
      [q, k, v, seen], causal=False)
halves = [t.astype(np.float16) for t in (q, k, v)]
layer("attention_of_masks", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), halves,
      causal=False)

# Losses.
for reduction in ["none", "mean", "sum"]:
    for dtype in [np.float32, np.float64]:
        x, target = normal(3, 4, dtype=dtype), normal(3, 4, dtype=dtype)
        layer("mse_loss", lambda x, t: F.mse_loss(x, t, reduction=reduction), [x, target], reduction=reduction)
        layer("l1_loss", lambda x, t: F.l1_loss(x, t, reduction=reduction), [x, target], reduction=reduction)
        layer("huber_loss", lambda x, t: F.huber_loss(x, t, reduction=reduction, delta=0.7), [x, target],
              reduction=reduction, bend=0.7)
        layer("smooth_l1_loss", lambda x, t: F.smooth_l1_loss(x, t, reduction=reduction, beta=0.7), [x, target],
              reduction=reduction, bend=0.7)
        share = np.abs(target) / np.asarray(8, dtype)
        share[0, 0] = 0
        layer("kl_div", lambda x, t: F.kl_div(x, t, reduction=reduction), [x, share], reduction=reduction)
        chance = np.clip(np.abs(x) / np.asarray(3, dtype), 0, 1).astype(dtype)
        chance[1, 1], share[1, 1] = 0, 1
        layer("binary_cross_entropy", lambda x, t: F.binary_cross_entropy(x, t, reduction=reduction),
              [chance, share], reduction=reduction)
        layer("binary_cross_entropy_with_logits",
              lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction=reduction), [x * 20, share],
              reduction=reduction)
    for shape in [(4, 5), (2, 5, 3), (5,)]:
        x, weight = normal(*shape), np.abs(normal(5))
        axis = min(len(shape), 2) - 1
        target = np.argmax(normal(*shape), axis).astype(np.int64)
        target = np.atleast_1d(target).reshape(target.shape)
        target.flat[0] = 3
        ignored = np.where(target == 3, -100, target) if len(shape) > 1 else target
        for name, function in [("nll_loss", F.nll_loss), ("cross_entropy", F.cross_entropy)]:
            layer(name, lambda x, t, w: function(x, t, w, reduction=reduction), [x, target, weight],
                  reduction=reduction)
            layer(name, lambda x, t: function(x, t, reduction=reduction, ignore_index=-100), [x, ignored],
                  reduction=reduction, ignored=-100)

save("layers")
