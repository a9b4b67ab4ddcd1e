# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "ml_dtypes==0.6.0"]
# ///
"""Elements in other places: what NumPy and PyTorch make of them.

    python crates/bitnet-testkit/scripts/goldens/movement.py
"""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from common import bfloat16, case, dtype_name, integers, normal, save

x = normal(2, 3, 5)
numbers = [np.float32, np.float64, np.float16, bfloat16, np.uint8, np.int64, np.bool_]


def operand(dtype, *shape):
    """Integers of up to 48 bits: the reference holds them in float64."""
    if dtype == np.bool_:
        return integers(np.uint8, *shape) > 127
    if np.dtype(dtype).kind not in "iu":
        return normal(*shape, dtype=dtype)
    limits = np.iinfo(dtype)
    return integers(dtype, *shape, low=max(limits.min, -(2**48)), high=min(limits.max, 2**48))


# Conversions whose result the C standard defines (NumPy's others are the platform's).
for name in ["float16", "float64", "int8", "int32", "bool"]:
    wide = normal(12, scale=30)
    case("to_dtype", [wide], [wide.astype(name)], dtype=dtype_name(name))
halves = np.array([2048.5, 2049.5, 65504.0, 65519.9, 65520.0, 6e-8, 2.9e-8, 1e-9, np.inf, np.nan])
case("to_dtype", [halves], [halves.astype(np.float16)], dtype="f16")
for source, name in [("int32", "int8"), ("int32", "uint16"), ("uint8", "int8"), ("int8", "uint8"), ("int32", "float32")]:
    whole = integers(source, 10)
    case("to_dtype", [whole], [whole.astype(name)], dtype=dtype_name(name))
specials = np.array([0.5, -1.5, 2.5, np.nan, 65504, -7.75, 0, 3.1415927], dtype=np.float32)
for dtype in [np.float16, np.float64, bfloat16]:
    case("to_dtype", [specials], [specials.astype(dtype)], dtype=dtype_name(dtype))
small = np.array([0, 1, -1, 100, -128], dtype=np.int32)
for dtype, name in [(np.int8, "i8"), (np.uint8, "u8"), (np.uint16, "u16"), (np.int64, "i64"), (np.float32, "f32"), (np.bool_, "bool")]:
    case("to_dtype", [small], [small.astype(dtype)], dtype=name)

# Views.
case("permute", [x], [x.transpose(2, 0, 1)], axes=[2, 0, 1])
case("slice", [x], [x[:, :, 4:0:-2]], axis=2, start=4, length=2, step=-2)
case("reshape", [x], [x.reshape(5, 6)], shape=[5, 6])
case("expand", [x[:, :1]], [np.broadcast_to(x[:, :1], (4, 2, 3, 5))], shape=[4, 2, 3, 5])
for axes in [[0], [-1, 1], []]:
    case("flip", [x], [np.flip(x, axes)], axes=axes)
for source, target in [(0, 2), (-1, 0), (1, 1)]:
    case("movedim", [x], [np.moveaxis(x, source, target)], source=source, target=target)
for axis, size, step, dilation in [(2, 3, 1, 1), (2, 2, 2, 3), (0, 1, 1, 1), (-2, 3, 5, 1)]:
    reach = (size - 1) * dilation + 1
    windows = sliding_window_view(x, reach, axis)[..., ::dilation]
    every = [slice(None)] * x.ndim
    every[axis] = slice(None, None, step)
    case("windows", [x], [windows[tuple(every)]], axis=axis, size=size, step=step, dilation=dilation)
for offset, a, b in [(0, 0, 1), (1, 1, 2), (-1, 2, 0), (9, 0, 2)]:
    case("diagonal", [x], [np.diagonal(x, offset, a, b)], offset=offset, first=a, second=b)

# Orders and repetitions.
for shifts, axes in [([2], [2]), ([-1, 7], [0, 1])]:
    case("roll", [x], [np.roll(x, shifts, axes)], shifts=shifts, axes=axes)
for repeats in [[2], [2, 1, 3], [2, 1, 1, 2], [0]]:
    case("tile", [x], [np.tile(x, repeats)], repeats=repeats)
for times, axis in [(2, 0), (3, -1), (0, 1)]:
    case("repeat_interleave", [x], [np.repeat(x, times, axis)], times=times, axis=axis)
for k in [-4, -1, 0, 1, 4]:
    case("tril", [x], [np.tril(x, k)], k=k)
    case("triu", [x], [np.triu(x, k)], k=k)
a, b = normal(3), normal(2)
case("meshgrid", [a, b], np.meshgrid(a, b, indexing="ij"))

# Joining, parting, padding.
for axis in [0, 1, -1]:
    case("stack", [x, -x], [np.stack([x, -x], axis)], axis=axis)
    case("cat", [x, -x], [np.concatenate([x, -x], axis)], axis=axis)
case("split", [x], np.split(x, [1, 1, 4], -1), sizes=[1, 0, 3, 1], axis=-1)
for count in [1, 2, 3, 4, 9]:
    parts = [part.numpy() for part in torch.from_numpy(x).chunk(count, 2)]
    case("chunk", [x], parts, count=count, axis=2)
for mode in ["constant", "reflect", "edge", "wrap"]:
    for amounts in [[(0, 0), (1, 2), (3, 0)], [(4, 5), (0, 0), (11, 1)]]:
        options = {"constant_values": -2} if mode == "constant" else {}
        case("pad", [x], [np.pad(x, amounts, mode, **options)], amounts=[n for pair in amounts for n in pair], mode=mode)

# Choices and writes.
for dtype in numbers:
    y = operand(dtype, 4, 3)
    rows = np.array([[3, 0], [-1, 2]])
    case("index_select", [y, rows], [np.take(y, rows, 0)], axis=0)
    case("index_select", [y, rows[:, 1:] % 3], [np.take(y, rows[:, 1:] % 3, 1)], axis=1)
    places = np.array([[2, 0], [1, 1], [0, 2]])
    case("gather", [y, places], [np.take_along_axis(y[:3], places, 1)], axis=1)
    down = np.array([[-1, 0, 2], [1, 1, -4]])
    case("gather", [y, down], [np.take_along_axis(y, down, 0)], axis=0)
    written = y.copy()
    new = operand(dtype, 3, 2)
    np.put_along_axis(written[:3], np.array([[2, 0], [1, 0], [0, 2]]), new, 1)
    case("scatter", [y, np.array([[2, 0], [1, 0], [0, 2]]), new], [written], axis=1)
    tuples = np.array([[[0, 1], [3, -1]], [[-4, 2], [1, 0]]])
    case("gather_nd", [y, tuples], [y[tuples[..., 0], tuples[..., 1]]])
    case("gather_nd", [y, tuples[..., :1]], [y[tuples[..., 0]]])
    written = y.copy()
    new = operand(dtype, 2, 3)
    written[[2, 0]] = new
    case("scatter_nd", [y, np.array([[2], [-4]]), new], [written])
    case("nonzero", [y], [np.argwhere(y)])
    mask = operand(np.bool_, 4, 3)
    case("masked_select", [y, mask], [y[mask]])
for dtype in [np.float64, np.int32]:
    # Products of small integers stay in the type.
    small = lambda *shape: integers(dtype, *shape, low=-9, high=9) if dtype == np.int32 else normal(*shape, dtype=dtype)
    y, new = small(4, 3), small(5, 3)
    places = integers(np.int64, 5, 3, low=0, high=3)
    for name, reduce in [("sum", "sum"), ("prod", "prod"), ("max", "amax"), ("min", "amin")]:
        tensors = [torch.from_numpy(t) for t in (y, places, new)]
        got = tensors[0].scatter_reduce(0, tensors[1], tensors[2], reduce)
        case("scatter_reduce", [y, places, new], [got.numpy()], axis=0, kind=name)

save("movement")
