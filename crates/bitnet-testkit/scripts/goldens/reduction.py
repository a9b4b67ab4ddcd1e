# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "scipy==1.17.1", "torch==2.15.0", "ml_dtypes==0.6.0"]
# ///
"""Reductions, orders and searches: what NumPy, SciPy and PyTorch say of them.

    python crates/bitnet-testkit/scripts/goldens/reduction.py

Floats are computed in float64 and rounded once to the type of the operand. PyTorch says what NumPy
has no word for: descending orders, the places of running extremes, topk, searching in rows.
"""

import numpy as np
import torch
from scipy.special import logsumexp

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
        reduce(name, normal(2, 3, 5), axes, keepdims=len(axes) == 1)
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



def rounded(y, x):
    with np.errstate(all="ignore"):
        return np.asarray(y).astype(x.dtype)


# Variances: numbers far from zero too.
for name, function in {"var": np.var, "std": np.std}.items():
    for x in [normal(2, 3, 5), normal(4, 6, dtype=np.float64) + 1e8, normal(3, 9) + np.float32(1e4),
              normal(5, 4, dtype=np.float16), normal(5, 4, dtype=bfloat16), SPECIAL.astype(np.float32),
              normal(1, 3), normal(0, 3)]:
        for axes in [(0,), (-1,), ()]:
            for ddof in [0, 1]:
                with np.errstate(all="ignore"):
                    y = function(wide(x), axis=axes or None, ddof=ddof, keepdims=True)
                case(name, [x], [rounded(y, x)], axes=list(axes), ddof=ddof, keepdims=True)

for p in [0, 1, 2, 3, 0.5, -1, np.inf, -np.inf]:
    for x in [normal(3, 4), normal(5, 4, dtype=np.float64), normal(7, 2, dtype=np.float16),
              SPECIAL.astype(np.float32), SPECIAL.astype(bfloat16)]:
        for axis in [0, 1]:
            with np.errstate(all="ignore"):
                y = np.linalg.norm(wide(x), ord=p, axis=axis)
            case("norm", [x], [rounded(y, x)], p=str(p), axes=[axis], keepdims=False)
case("norm", [x := normal(2, 3, 4)], [rounded(np.sqrt((wide(x) ** 2).sum((0, 2), keepdims=True)), x)],
     p="2", axes=[0, 2], keepdims=True)
case("norm", [x := normal(2, 3)], [rounded(np.linalg.norm(wide(x).ravel()), x)], p="2", axes=[], keepdims=False)

for x in [normal(3, 4, scale=5), normal(3, 4, dtype=np.float64) + 700, normal(6, 7, scale=100),
          normal(4, 3, dtype=np.float16), normal(4, 3, dtype=bfloat16),
          *[SPECIAL.astype(dtype) for dtype in FLOATS]]:
    for axes in [(0,), (1,), (0, 1)]:
        with np.errstate(all="ignore"):
            y = logsumexp(wide(x), axis=axes, keepdims=True)
        case("logsumexp", [x], [rounded(y, x)], axes=list(axes), keepdims=True)

# Running reductions.
def torch_of(x):
    return torch.from_numpy(x.astype(np.float64) if x.dtype.kind not in "iub" else x.copy())


for axis in [0, 1]:
    for x in [normal(3, 5), normal(4, 3, dtype=np.float64), normal(4, 3, dtype=np.float16),
              SPECIAL.astype(np.float32), normal(0, 3), normal(3, 0)]:
        with np.errstate(all="ignore"):
            case("cumsum", [x], [rounded(np.cumsum(wide(x), axis), x)], axis=axis)
            case("cumprod", [x], [rounded(np.cumprod(wide(x), axis), x)], axis=axis)
    for dtype in [*INTEGERS, np.bool_]:
        x = operand(dtype, 3, 4)
        case("cumsum", [x], [np.cumsum(x, axis)], axis=axis)
        case("cumprod", [x], [np.cumprod(x, axis)], axis=axis)
    for x in [normal(3, 5), integers(np.int32, 4, 6, low=-3, high=3), integers(np.uint8, 3, 3),
              normal(3, 4, dtype=np.float16), SPECIAL.astype(np.float32), SPECIAL.T.astype(np.float64)]:
        for name, function in {"cummax": torch.cummax, "cummin": torch.cummin}.items():
            values, places = function(torch_of(x), axis)
            case(name, [x], [rounded(values.numpy(), x), places.numpy()], axis=axis)
    for n in [0, 1, 2, 5]:
        for dtype in [np.float32, np.int16, np.uint8, np.bool_]:
            x = operand(dtype, 4, 5) if dtype == np.float32 else (normal(4, 5) > 0).astype(dtype)
            case("diff", [x], [np.diff(x, n, axis)], n=n, axis=axis)

# Orders.
ODD = np.array([2, np.nan, -0.0, np.inf, 0.0, -np.inf, 2, np.nan, -1, 0.0])
for x in [normal(3, 5), integers(np.int32, 4, 6, low=-3, high=3), integers(np.uint8, 2, 9),
          integers(np.int64, 3, 4, low=-(2**52), high=2**52), normal(3, 4, dtype=np.float16), normal(3, 4) > 0,
          ODD.reshape(2, 5).astype(np.float32), ODD.reshape(5, 2), integers(np.uint32, 5, 2)]:
    for axis in [0, 1]:
        places = np.argsort(wide(x), axis, stable=True)
        case("sort", [x], [np.take_along_axis(x, places, axis), places], axis=axis, descending=False)
        case("argsort", [x], [places], axis=axis, descending=False)
        places = torch.sort(torch_of(x.astype(np.int64) if x.dtype == np.uint32 else x), dim=axis,
                            stable=True, descending=True)[1].numpy()
        case("sort", [x], [np.take_along_axis(x, places, axis), places], axis=axis, descending=True)
for x in [normal(3, 7), np.random.default_rng(3).permutation(24).reshape(4, 6).astype(np.int16),
          normal(4, 5, dtype=np.float64)]:
    for axis in [0, 1]:
        for k in [1, 3]:
            for largest in [False, True]:
                values, places = torch.topk(torch_of(x), k, dim=axis, largest=largest)
                case("topk", [x], [rounded(values.numpy(), x), places.numpy()], k=k, axis=axis, largest=largest)
            value, place = torch.kthvalue(torch_of(x), k, dim=axis)
            case("kthvalue", [x], [rounded(value.numpy(), x), place.numpy()], k=k, axis=axis, keepdims=False)

# Quantiles.
NAN_ROW = normal(3, 5)
NAN_ROW[1, 2] = np.nan
for x in [normal(3, 5), normal(2, 4, dtype=np.float64), normal(4, 3, dtype=np.float16), normal(2, 3, 4), NAN_ROW, normal(1, 1)]:
    for axes in [(0,), (-1,), ()]:
        case("median", [x], [rounded(np.median(wide(x), axis=axes or None, keepdims=True), x)], axes=list(axes), keepdims=True)
        for method in ["linear", "lower", "higher", "nearest", "midpoint"]:
            for q in [0.0, 0.3, 0.7] if method == "linear" else [0.3]:
                y = np.quantile(wide(x), q, axis=axes or None, method=method)
                case("quantile", [x], [rounded(y, x)], q=q, axes=list(axes), keepdims=False, method=method)
case("median", [x := np.array([1, np.inf, np.inf, np.inf], np.float32)], [np.median(x)], axes=[], keepdims=False)

# Sets.
for x in [integers(np.int32, 4, 6, low=-3, high=3), integers(np.uint8, 3, 5, low=0, high=4), normal(7),
          normal(3, 3) > 0, ODD, np.float32(2.5), np.zeros(0, np.int16), normal(3, 4, dtype=np.float16)]:
    y = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    case("unique", [x], [y[0], y[1].astype(np.int64), y[2].reshape(np.shape(x)).astype(np.int64), y[3].astype(np.int64)])
for axis in [0, 1, -1]:
    for x in [integers(np.int32, 6, 3, low=0, high=1), integers(np.int8, 2, 2, 8, low=0, high=1), normal(3, 4)]:
        y = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
        case("unique", [x], [y[0], y[1].astype(np.int64), y[2].astype(np.int64), y[3].astype(np.int64)], axis=axis)

# Counts.
for x in [integers(np.uint8, 30, low=0, high=9), integers(np.int64, 12, low=0, high=5), np.zeros(0, np.int32)]:
    for minlength in [0, 4, 20]:
        case("bincount", [x], [np.bincount(x, minlength=minlength).astype(np.int64)], minlength=minlength)
for x in [normal(50), normal(40, dtype=np.float64), integers(np.int16, 30, low=-8, high=8), np.full(3, 2, np.float32),
          np.zeros(0, np.float64)]:
    for bins in [1, 4, 10]:
        for span in [None, (-1.0, 1.5)]:
            counts, ends = np.histogram(x.astype(np.float64) if x.dtype.kind == "i" else x, bins, span)
            extra = {} if span is None else {"low": span[0], "high": span[1]}
            case("histogram", [x], [counts.astype(np.int64), ends.astype(x.dtype if x.dtype.kind == "f" else np.float64)], bins=bins, **extra)

# Searches.
for right in [False, True]:
    side = "right" if right else "left"
    for line, values in [(np.sort(normal(9)), normal(3, 4)), (np.array([1, 2, 2, 2, 5], np.int32), integers(np.int32, 7, low=0, high=6)),
                         (np.sort(ODD), ODD), (np.zeros(0, np.float32), normal(2)), (np.sort(normal(5)), np.float32(0.1))]:
        y = np.searchsorted(line, values, side=side)
        case("searchsorted", [line, values], [np.asarray(y).astype(np.int64)], right=right)
    lines, values = np.sort(normal(2, 3, 6), -1), normal(2, 3, 4)
    y = torch.searchsorted(torch_of(lines), torch_of(values), right=right)
    case("searchsorted", [lines, values], [y.numpy()], right=right)

save("reduction")
