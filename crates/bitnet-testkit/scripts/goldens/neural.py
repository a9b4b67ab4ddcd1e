# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "onnx==1.23.2", "ml_dtypes==0.6.0"]
# ///
"""Softmax, RMSNormalization, RotaryEmbedding and Attention as the evaluator of the ONNX standard
(`onnx.reference`, opset 23) has them, on float64.

    python crates/bitnet-testkit/scripts/goldens/neural.py
"""

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from common import case, normal, rng, save


def onnx(op, inputs, outputs=1, **attributes):
    """One node of the standard, evaluated by its reference."""
    kinds = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}
    present = [(f"x{n}", x) for n, x in enumerate(inputs) if x is not None]
    names = ["" if x is None else f"x{n}" for n, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{n}" for n in range(outputs)], **attributes)
    graph = helper.make_graph(
        [node],
        "case",
        [helper.make_tensor_value_info(name, kinds[x.dtype.name], x.shape) for name, x in present],
        [helper.make_tensor_value_info("y0", kinds[inputs[0].dtype.name], None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    return ReferenceEvaluator(model).run(["y0"], dict(present))[0]


for shape in [(7,), (2, 3, 5)]:
    x = normal(*shape, scale=3)
    case("softmax", [x], [onnx("Softmax", [x.astype(np.float64)], axis=-1).astype(np.float32)])
for shape in [(6,), (2, 3, 8)]:
    x, w = normal(*shape), normal(shape[-1])
    y = onnx("RMSNormalization", [x.astype(np.float64), w.astype(np.float64)], axis=-1, epsilon=1e-5)
    case("rms_norm", [x, w], [y.astype(np.float32)], eps=1e-5)

# Rotary embedding: ONNX takes [batch, heads, tokens, head_dim].
for interleaved in [0, 1]:
    x, angles = normal(2, 3, 4, 6), rng.uniform(0, 6, (9, 3))
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    positions = rng.integers(0, 9, (2, 3))
    y = onnx("RotaryEmbedding",
             [x.astype(np.float64).transpose(0, 2, 1, 3), cos.astype(np.float64), sin.astype(np.float64), positions],
             interleaved=interleaved)
    case("rope", [x, cos, sin, positions.astype(np.uint32)],
         [y.transpose(0, 2, 1, 3).astype(np.float32)], adjacent=bool(interleaved))

# Attention with a mask for what each position sees.
for batch, tokens, heads, kv_heads, head_dim, capacity in [(1, 1, 4, 2, 8, 5), (2, 3, 4, 1, 6, 7)]:
    q = normal(batch, tokens, heads, head_dim)
    k, v = normal(batch, capacity, kv_heads, head_dim), normal(batch, capacity, kv_heads, head_dim)
    positions = rng.integers(0, capacity, (batch, tokens))
    mask = np.arange(capacity)[None, None, None] <= positions[:, None, :, None]
    heads_first = [t.astype(np.float64).transpose(0, 2, 1, 3) for t in (q, k, v)]
    scale = 0.25
    y = onnx("Attention", [*heads_first, np.where(mask, 0.0, -np.inf)], scale=scale)
    case("attention", [q, k, v, positions.astype(np.uint32)],
         [y.transpose(0, 2, 1, 3).astype(np.float32)], scale=scale)

save("neural")
