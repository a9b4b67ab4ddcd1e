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

# Every operation of every type, and of tensors without elements or axes.
types = [np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64, np.float16, bfloat16, np.float32, np.float64]
for dtype in types:
    y, z = operand(dtype, 2, 3), operand(dtype, 2, 3)
    case("reshape", [y], [y.reshape(3, 1, 2)], shape=[3, 1, 2])
    case("transpose", [y], [y.T], first=-1, second=0)
    case("permute", [y], [y.transpose(-1, 0)], axes=[-1, 0])
    case("movedim", [y], [np.moveaxis(y, 0, -1)], source=-2, target=1)
    case("unsqueeze", [y], [np.expand_dims(y, -2)], axis=-2)
    case("squeeze", [y[:, None]], [y], axis=-2)
    case("expand", [y[:1]], [np.broadcast_to(y[:1], (2, 4, 3))], shape=[2, 4, 3])
    case("flip", [y], [np.flip(y, -1)], axes=[-1])
    case("roll", [y], [np.roll(y, -4, -1)], shifts=[-4], axes=[-1])
    case("slice", [y], [y[:, ::-2]], axis=-1, start=2, length=2, step=-2)
    case("narrow", [y], [y[:, 1:]], axis=-1, start=1, length=2)
    case("windows", [y], [sliding_window_view(y, 2, 1)], axis=-1, size=2, step=1, dilation=1)
    case("unfold", [y], [sliding_window_view(y, 2, 1)[:, ::2]], axis=1, size=2, step=2)
    case("diagonal", [y], [np.diagonal(y, 1)], offset=1, first=-2, second=-1)
    case("cat", [y, z], [np.concatenate([y, z], -1)], axis=-1)
    case("stack", [y, z], [np.stack([y, z], -1)], axis=-1)
    case("split", [y], np.split(y, [2], -1), sizes=[2, 1], axis=-1)
    case("chunk", [y], [y[:, :2], y[:, 2:]], count=2, axis=-1)
    case("tile", [y], [np.tile(y, [2, 1])], repeats=[2, 1])
    case("repeat_interleave", [y], [np.repeat(y, 2, -2)], times=2, axis=-2)
    for mode in ["reflect", "edge", "wrap"]:
        case("pad", [y], [np.pad(y, [(1, 0), (0, 2)], mode)], amounts=[1, 0, 0, 2], mode=mode)
    if dtype == np.bool_ or np.dtype(dtype).kind == "u":
        case("pad", [y], [np.pad(y, [(1, 0), (0, 2)], constant_values=1)], amounts=[1, 0, 0, 2], mode="constant", value=1)
    else:
        case("pad", [y], [np.pad(y, [(1, 0), (0, 2)], constant_values=-2)], amounts=[1, 0, 0, 2], mode="constant")
    case("tril", [y], [np.tril(y)], k=0)
    case("triu", [y], [np.triu(y)], k=0)
    case("meshgrid", [y[0], z[:, 0]], np.meshgrid(y[0], z[:, 0], indexing="ij"))
    column = np.array([[-1], [0]])
    case("take_along_axis", [y, column], [np.take_along_axis(y, column, -1)], axis=-1)
    case("take_along_axis", [y, column[:1]], [np.take_along_axis(y, column[:1], -1)], axis=-1)
    written = y.copy()
    written[:, 2::-2] = z[:1, :2]
    case("with_slice", [y, z[:1, :2]], [written], axis=-1, start=2, length=2, step=-2)
    case("masked_fill", [y, z[0] != 0, z[1, 1]], [np.where(z[0] != 0, z[1, 1], y)])
    for to in types:
        small = operand(np.bool_, 4) if dtype == np.bool_ else np.array([0, 1, 7, 100]).astype(dtype)
        case("to_dtype", [small], [small.astype(to)], dtype=dtype_name(to))
for dtype in [np.int64, np.uint32, np.int8]:
    y, rows = normal(3, 2), np.array([2, 0], dtype=dtype)
    case("index_select", [y, rows], [y[rows]], axis=-2)
    case("index_select", [y, rows[0]], [y[2]], axis=0)
    case("gather", [y, rows[:, None]], [np.take_along_axis(y[:, :1], rows[:, None], 0)], axis=-2)

hollow = np.zeros((2, 0, 3), np.float32)
none = np.zeros((0,), np.int64)
case("reshape", [hollow], [hollow.reshape(0, 7)], shape=[0, 7])
case("permute", [hollow], [hollow.transpose(1, 2, 0)], axes=[1, 2, 0])
case("flip", [hollow], [hollow], axes=[1, 2])
case("roll", [hollow], [hollow], shifts=[1], axes=[1])
case("slice", [hollow], [hollow[..., ::-1]], axis=2, start=2, length=3, step=-1)
case("diagonal", [hollow], [np.diagonal(hollow, 0, 0, 1)], offset=0, first=0, second=1)
case("windows", [hollow], [sliding_window_view(hollow, 2, 2)], axis=2, size=2, step=1, dilation=1)
beside = normal(2, 1, 3)
case("cat", [hollow, beside], [np.concatenate([hollow, beside], 1)], axis=1)
case("stack", [hollow, hollow], [np.stack([hollow, hollow])], axis=0)
case("tile", [hollow], [np.tile(hollow, [2, 2, 1])], repeats=[2, 2, 1])
case("repeat_interleave", [hollow], [np.repeat(hollow, 2, 0)], times=2, axis=0)
case("pad", [hollow], [np.pad(hollow, [(1, 0), (1, 1), (0, 0)], constant_values=-2)], amounts=[1, 0, 1, 1, 0, 0], mode="constant")
case("tril", [hollow], [hollow], k=0)
case("expand", [hollow], [np.broadcast_to(hollow, (4, 2, 0, 3))], shape=[4, 2, 0, 3])
case("index_select", [x, none], [x[:, none]], axis=1)
case("index_select", [hollow, np.array([1, 1])], [hollow[[1, 1]]], axis=0)
case("gather", [x, np.zeros((2, 0, 5), np.int64)], [np.zeros((2, 0, 5), np.float32)], axis=1)
case("gather_nd", [x, np.zeros((3, 0), np.int64)], [np.stack([x, x, x])])
case("scatter", [x, np.zeros((2, 0, 5), np.int64), np.zeros((2, 0, 5), np.float32)], [x], axis=1)
case("nonzero", [hollow], [np.argwhere(hollow)])
case("masked_select", [hollow, np.zeros((2, 0, 3), np.bool_)], [np.zeros(0, np.float32)])
case("split", [hollow], [hollow, hollow], sizes=[0, 0], axis=1)

dot = np.float32(2.5)
case("reshape", [dot], [dot.reshape(1, 1)], shape=[1, 1])
case("unsqueeze", [dot], [np.expand_dims(dot, 0)], axis=-1)
case("permute", [dot], [dot], axes=[])
case("flip", [dot], [dot], axes=[])
case("expand", [dot], [np.broadcast_to(dot, (2, 1))], shape=[2, 1])
case("tile", [dot], [np.tile(dot, 3)], repeats=[3])
case("pad", [dot], [dot], amounts=[], mode="edge")
case("stack", [dot, -dot], [np.stack([dot, -dot])], axis=0)
case("masked_select", [dot, np.array(True)], [dot.reshape(1)])

# Shapes said in other words.
case("movedims", [x], [np.moveaxis(x, [0, 1], [2, 0])], axes=[0, 1], places=[2, 0])
case("movedims", [x], [np.moveaxis(x, [-1, 0], [0, -1])], axes=[-1, 0], places=[0, -1])
case("flatten", [x], [x.reshape(6, 5)], first=0, last=1)
case("flatten", [x], [x.reshape(30)], first=0, last=2)
case("flatten", [hollow], [hollow.reshape(2, 0)], first=1, last=2)
case("view_as", [x], [x.reshape(5, -1)], shape=[5, -1])
case("view_as", [x], [x.reshape(2, 15)], shape=[2, 15])
case("squeeze_all", [x[:1, :, None]], [x[:1, :, None].squeeze()])
case("squeeze_all", [x[:1, :1, :1]], [x[0, 0, 0]])

# What is written one by one, in every type: into places that occur once, and added up.
for dtype in types:
    y, z = operand(dtype, 3, 4), operand(dtype, 2, 4)
    places = np.array([[0, 2, 1, -3], [2, 0, -1, 1]])
    written = y.copy()
    np.put_along_axis(written, places, z, 0)
    case("scatter", [y, places, z], [written], axis=0)
    if dtype != np.bool_:
        if np.dtype(dtype).kind in "iu":
            y, z = (integers(dtype, *t.shape, low=0, high=20) for t in (y, z))
        else:
            # Fractions that half types add without rounding.
            y, z = (np.round(t.astype(np.float32) * 4).astype(dtype) for t in (y, z))
        same = np.array([[1, 1, 1, 0], [1, 1, -2, 0]])
        added = y.copy()
        for row in range(2):
            for column in range(4):
                added[same[row, column], column] += z[row, column]
        case("scatter_add", [y, same, z], [added], axis=0)
    tuples = np.array([[2, 1], [0, 3]])
    written = y.copy()
    written[tuples[:, 0], tuples[:, 1]] = z[0, :2]
    case("scatter_nd", [y, tuples, z[0, :2]], [written])
    case("gather_nd", [y, tuples], [y[tuples[:, 0], tuples[:, 1]]])
    flags = integers(np.uint8, 3, 4) > 100
    case("masked_select", [y, flags], [y[flags]])
    sparse = np.where(flags, y, np.zeros((), y.dtype))
    case("nonzero", [sparse], [np.argwhere(sparse)])
    case("index_select", [y, np.array([1, -1, 1])], [y[[1, -1, 1]]], axis=0)
    if dtype != np.bool_:
        target, rows = operand(dtype, 2, 4, 3), operand(dtype, 2, 2, 3)
        at = np.array([[3, 0], [1, 2]], np.uint32)
        written = target.copy()
        for batch in range(2):
            written[batch, at[batch]] = rows[batch]
        case("write_rows", [target, at, rows], [written])

# The same bits, read as another type.
for a, b in [(np.float32, np.uint32), (np.int16, np.float16), (np.float64, np.int64), (np.uint16, bfloat16), (np.int8, np.uint8)]:
    y = operand(a, 2, 3) if a != np.int16 else integers(a, 2, 3, low=0, high=30000)
    y = integers(a, 2, 3, low=0, high=30000) if a == np.uint16 else y
    case("bitcast", [y], [y.view(b)], dtype=dtype_name(b))

save("movement")
