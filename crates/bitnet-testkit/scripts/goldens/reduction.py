# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "ml_dtypes==0.6.0"]
# ///
"""Reductions, orders and searches: what NumPy says of them.

    python crates/bitnet-testkit/scripts/goldens/reduction.py

Floats are computed by NumPy in float64 and rounded once to the type of the operand.
"""

import numpy as np

from common import bfloat16, case, integers, normal, save

FLOATS = [np.float32, np.float64, np.float16, bfloat16]
INTEGERS = [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]

SPECIAL = np.array(
    [[1, np.nan, 3], [np.inf, 1, -2], [-np.inf, -np.inf, -np.inf], [2, 7, 7], [np.inf, -np.inf, 1],
     [0.0, -0.0, 0.0]])


def operand(dtype, *shape):
    """Numbers of a type; integers small enough for sums and products in float64."""
    if dtype == np.bool_:
        return integers(np.uint8, *shape) > 127
    if np.dtype(dtype).kind in "iu":
        low = 0 if np.dtype(dtype).kind == "u" else -9
        return integers(dtype, *shape, low=low, high=9)
    return normal(*shape, dtype=dtype)


def wide(x):
    return x if x.dtype.kind in "iub" else x.astype(np.float64)


def reduce(name, x, axes, keepdims):
    with np.errstate(all="ignore"):
        y = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "max": np.max, "min": np.min,
             "any": np.any, "all": np.all, "count_nonzero": np.count_nonzero}[name](
            wide(x), axis=tuple(axes) or None, keepdims=keepdims)
    y = np.asarray(y)
    if name == "count_nonzero":
        y = y.astype(np.int64)
    elif name not in ("any", "all") and x.dtype.kind not in "iub":
        y = y.astype(x.dtype)
    case(name, [x], [y], axes=list(axes), keepdims=keepdims)


KINDS = ["sum", "prod", "mean", "max", "min", "any", "all", "count_nonzero"]

for name in KINDS:
    for axes in [(0,), (1, 2), (0, 2), (-1,), ()]:
        for keepdims in [False, True]:
            reduce(name, normal(2, 3, 5), axes, keepdims)
    for dtype in FLOATS:
        reduce(name, SPECIAL.astype(dtype), (1,), False)
        reduce(name, operand(dtype, 4, 6), (0,), False)
        reduce(name, operand(dtype), (), False)
    if name != "mean":
        for dtype in [*INTEGERS, np.bool_]:
            reduce(name, operand(dtype, 3, 4), (1,), False)
            reduce(name, operand(dtype, 3, 4), (), True)
    reduce(name, normal(0, 3), (1,), False)
    if name not in ("max", "min"):
        reduce(name, normal(3, 0), (1,), False)
        reduce(name, normal(0), (), False)
# Beyond the range of the operand's type.
for name, dtype in [("sum", np.uint8), ("sum", np.int8), ("prod", np.int16), ("sum", np.int32)]:
    reduce(name, integers(dtype, 3, 3), (1,), False)
reduce("sum", np.full((40, 40), 2049, np.float16), (1,), False)
reduce("mean", np.full((40, 40), 60000, np.float16), (), False)
reduce("mean", np.full((300,), 1.01, bfloat16), (), False)

for name, function in {"argmax": np.argmax, "argmin": np.argmin}.items():
    def arg(x, axis, keepdims=False):
        y = np.asarray(function(wide(x), axis=axis, keepdims=keepdims)).astype(np.int64)
        case(name, [x], [y], **({} if axis is None else {"axis": axis}), keepdims=keepdims)

    for axis in [0, 1, -1, None]:
        for keepdims in [False, True]:
            arg(normal(3, 4, 5), axis, keepdims)
    for dtype in FLOATS:
        arg(SPECIAL.astype(dtype), 1)
        arg(SPECIAL.astype(dtype), 0)
        arg(operand(dtype, 3, 20), 0)
    for dtype in [*INTEGERS, np.bool_]:
        arg(operand(dtype, 5, 7), 0)
        arg(operand(dtype, 5, 7), 1)
    arg(normal(0, 3), 1)

save("reduction")
