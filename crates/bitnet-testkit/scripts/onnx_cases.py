# /// script
# requires-python = ">=3.11"
# dependencies = ["onnx==1.23.2", "numpy==2.4.6", "ml_dtypes==0.6.0"]
# ///
"""The operator cases of the ONNX standard, in a form that the tests read without protobuf.

    python crates/bitnet-testkit/scripts/onnx_cases.py [FOLDER]

Writes `cases.json` and `tensors.bin` to FOLDER (`target/onnx-cases` of the project when none is
named): every case of one node as the package `onnx` computes it, without the `_expanded` variants,
which say the same in other operators. Nothing of it is committed: the data is the package's.

A case has its operator, domain, opset, attributes, tolerances, and its operands and results in the
order of the node; an omitted operand is null. A tensor has its type and shape and where its elements
begin in `tensors.bin` (row-major, little-endian). One of a type that the library has not (texts,
complex numbers, floats and integers of fewer than 8 bits or of 8 bits with an exponent, sequences,
optionals) has the type's name under `absent` instead; so has an attribute that is a graph.
"""

import json
import sys
import warnings
from pathlib import Path

# Some cases overflow on purpose.
warnings.filterwarnings("ignore")

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

TYPES = {
    TensorProto.BOOL: "bool",
    TensorProto.UINT8: "u8",
    TensorProto.UINT16: "u16",
    TensorProto.UINT32: "u32",
    TensorProto.UINT64: "u64",
    TensorProto.INT8: "i8",
    TensorProto.INT16: "i16",
    TensorProto.INT32: "i32",
    TensorProto.INT64: "i64",
    TensorProto.FLOAT16: "f16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.FLOAT: "f32",
    TensorProto.DOUBLE: "f64",
}

blob = bytearray()


def tensor(elem_type, value):
    if elem_type not in TYPES:
        return {"absent": TensorProto.DataType.Name(elem_type).lower()}
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    array = np.asarray(value)
    # Room for the largest element at every start.
    blob.extend(bytes(-len(blob) % 8))
    entry = {"dtype": TYPES[elem_type], "shape": list(array.shape), "offset": len(blob)}
    data = np.ascontiguousarray(array).tobytes()
    assert len(data) == array.size * array.dtype.itemsize
    blob.extend(data)
    return entry


def operand(info, value):
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return {"absent": kind.removesuffix("_type")}
    return tensor(info.type.tensor_type.elem_type, value)


def number(value):
    """JSON has no NaN and no infinity: those are texts."""
    return value if np.isfinite(value) else str(value)


def attribute(entry):
    value = onnx.helper.get_attribute_value(entry)
    match entry.type:
        case AttributeProto.INT:
            return value
        case AttributeProto.FLOAT:
            return number(value)
        case AttributeProto.INTS:
            return list(value)
        case AttributeProto.FLOATS:
            return [number(item) for item in value]
        case AttributeProto.STRING:
            return value.decode()
        case AttributeProto.STRINGS:
            return [text.decode() for text in value]
        case AttributeProto.TENSOR:
            return tensor(value.data_type, value)
        case other:
            return {"absent": AttributeProto.AttributeType.Name(other).lower()}


def case(test):
    graph = test.model.graph
    (node,) = graph.node
    ((inputs, outputs),) = test.data_sets
    opsets = {opset.domain: opset.version for opset in test.model.opset_import}

    def named(infos, values):
        return {info.name: operand(info, value) for info, value in zip(infos, values, strict=True)}

    inputs, outputs = named(graph.input, inputs), named(graph.output, outputs)
    return {
        "name": test.name,
        "op": node.op_type,
        "domain": node.domain,
        "opset": opsets[node.domain],
        "rtol": test.rtol,
        "atol": test.atol,
        "attributes": {entry.name: attribute(entry) for entry in node.attribute},
        "inputs": [inputs.get(name) for name in node.input],
        "outputs": [outputs.get(name) for name in node.output],
    }


def main():
    root = Path(__file__).resolve().parents[3]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "target" / "onnx-cases"
    folder.mkdir(parents=True, exist_ok=True)
    tests = [test for test in collect_testcases() if "_expanded" not in test.name]
    cases = [case(test) for test in sorted(tests, key=lambda test: test.name)]
    index = {"onnx": onnx.__version__, "cases": cases}
    (folder / "tensors.bin").write_bytes(blob)
    (folder / "cases.json").write_text(json.dumps(index, allow_nan=False))
    print(f"{len(cases)} cases of onnx {onnx.__version__}, {len(blob)} bytes of tensors: {folder}")


main()
