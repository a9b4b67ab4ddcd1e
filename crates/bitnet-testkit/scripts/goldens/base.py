# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "onnx==1.23.2"]
# ///
"""Numbers from outside for the reference backend: run by hand, the results are kept.

    python crates/bitnet-testkit/scripts/goldens/base.py crates/bitnet-testkit/goldens

NumPy defines products. The evaluator of the ONNX standard (`onnx.reference`, opset 23) defines
softmax, RMSNormalization, RotaryEmbedding and Attention. The quantizers are BitNet's formulas,
written here in float64 (decisions of rounding in float32, as `BitLinear` of Hugging Face transformers has them).

Each case is an operation, its attributes, operands and results; floats are written as the decimal
number that reads back as the same float.
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(20261122)
cases = {}


def number(x):
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    if isinstance(x, (int, np.integer)):
        return int(x)
    x = float(x)
    if np.isnan(x):
        return "nan"
    if np.isinf(x):
        return "inf" if x > 0 else "-inf"
    return x


def tensor(array):
    array = np.asarray(array)
    names = {"float32": "f32", "float64": "f64", "float16": "f16", "bool": "bool"}
    kind = names.get(array.dtype.name) or array.dtype.name.replace("uint", "u").replace("int", "i")
    values = [number(x) for x in array.ravel()]
    if kind == "f64":
        # As text: JSON readers may lose the last bit of a float64.
        values = [repr(x) if isinstance(x, float) else x for x in values]
    return {"dtype": kind, "shape": list(array.shape), "values": values}


def case(family, op, inputs, outputs, **attributes):
    entry = {"op": op, "inputs": [tensor(x) for x in inputs], "outputs": [tensor(x) for x in outputs]}
    entry.update(attributes)
    cases.setdefault(family, []).append(entry)


def f32(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


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


with np.errstate(all="ignore"):
    # By the ONNX standard, evaluated on float64.
    for shape in [(7,), (2, 3, 5)]:
        x = f32(*shape, scale=3)
        case("neural", "softmax", [x], [onnx("Softmax", [x.astype(np.float64)], axis=-1).astype(np.float32)])
    for shape in [(6,), (2, 3, 8)]:
        x, w = f32(*shape), f32(shape[-1])
        y = onnx("RMSNormalization", [x.astype(np.float64), w.astype(np.float64)], axis=-1, epsilon=1e-5)
        case("neural", "rms_norm", [x, w], [y.astype(np.float32)], eps=1e-5)

# Rotary embedding: ONNX takes [batch, heads, tokens, head_dim].
for interleaved in [0, 1]:
    x, angles = f32(2, 3, 4, 6), rng.uniform(0, 6, (9, 3))
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    positions = rng.integers(0, 9, (2, 3))
    y = onnx("RotaryEmbedding",
             [x.astype(np.float64).transpose(0, 2, 1, 3), cos.astype(np.float64), sin.astype(np.float64), positions],
             interleaved=interleaved)
    case("neural", "rope", [x, cos, sin, positions.astype(np.uint32)],
         [y.transpose(0, 2, 1, 3).astype(np.float32)], adjacent=bool(interleaved))

# Attention with a mask for what each position sees.
for batch, tokens, heads, kv_heads, head_dim, capacity in [(1, 1, 4, 2, 8, 5), (2, 3, 4, 1, 6, 7)]:
    q = f32(batch, tokens, heads, head_dim)
    k, v = f32(batch, capacity, kv_heads, head_dim), f32(batch, capacity, kv_heads, head_dim)
    positions = rng.integers(0, capacity, (batch, tokens))
    mask = np.arange(capacity)[None, None, None] <= positions[:, None, :, None]
    heads_first = [t.astype(np.float64).transpose(0, 2, 1, 3) for t in (q, k, v)]
    scale = 0.25
    y = onnx("Attention", [*heads_first, np.where(mask, 0.0, -np.inf)], scale=scale)
    case("neural", "attention", [q, k, v, positions.astype(np.uint32)],
         [y.transpose(0, 2, 1, 3).astype(np.float32)], scale=scale)

folder = Path(sys.argv[1])
for family, entries in cases.items():
    text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    (folder / f"{family}.json").write_text(f"[\n{text}\n]\n")
    print(family, len(entries))
