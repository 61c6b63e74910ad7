"""ONNX graphs, written node by node: the one place that knows the package `onnx`."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.errors import ArgumentError, GraphError, MissingExtraError
from fallline.ir.types import Shape, SymbolicDim

Array = NDArray[Any]

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
"""Of 2022: old enough for every runtime that is in use."""
ML = "ai.onnx.ml"
ROWS = "rows"
"""The name of the dimension that a caller chooses."""
LARGEST = 2**31 - 2**20
"""Bytes of a file: protocol buffers hold less than 2 GiB."""


class Port(NamedTuple):
    """An input or output of the file.

    Attributes:
        name: as callers write it.
        dtype: NumPy's name of its dtype; "str" for text.
        shape: after the rows.
        about: what it holds, in words.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    about: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} ({', '.join(['rows', *map(str, self.shape)])}{',' * (not self.shape)})"


def require(package: str) -> Any:
    """The package onnx or onnxruntime.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return __import__(package)
    except ImportError:
        raise MissingExtraError(
            f"export_onnx: the package {package} is not installed; install it with pip install 'fallline[onnx]'"
        ) from None


class GraphWriter:
    """Nodes and constants of one ONNX graph; each value has a name, which `add` and `constant` give.

    Args:
        reserved: names of inputs and outputs, which no value in between may have.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self._onnx = require("onnx")
        self._taken = set(reserved)
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def add(self, operator: str, *inputs: str, result: str = "", domain: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned: `result`, or a new one."""
        name = result or self._new_name(operator)
        node = self._onnx.helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def constant(self, value: ArrayLike, name: str = "") -> str:
        """An array (of numbers, truth values, or text as objects) that is stored in the file."""
        array = np.asarray(value)
        if array.dtype.kind in "OU":
            tensor = self._onnx.helper.make_tensor(
                self._new_name(name or "text"), self._onnx.TensorProto.STRING, array.shape, [str(t) for t in array]
            )
            self._initializers.append(tensor)
            return str(tensor.name)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._new_name(name or "constant")
            stored = np.ascontiguousarray(array).reshape(array.shape)  # the former makes (1,) of ()
            self._initializers.append(self._onnx.numpy_helper.from_array(stored, self._constants[key]))
        return self._constants[key]

    def whole(self, *numbers: int) -> str:
        """A vector of whole numbers, such as axes or a shape."""
        return self.constant(np.asarray(numbers, dtype=np.int64))

    def cast(self, value: str, dtype: str, result: str = "") -> str:
        """A value in another dtype, by NumPy's name."""
        return self.add("Cast", value, to=self._element_type(dtype), result=result)

    def shape(self, shape: Shape, rows: Callable[[], str]) -> str:
        """A shape as a vector; `rows` gives a vector of one number, the rows of the batch."""
        numbers = [dim for dim in shape if not isinstance(dim, SymbolicDim)]
        if len(numbers) == len(shape):
            return self.whole(*numbers)
        parts = [self._dim(dim, rows) if isinstance(dim, SymbolicDim) else self.whole(dim) for dim in shape]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def _dim(self, dim: SymbolicDim, rows: Callable[[], str]) -> str:
        return rows() if dim.factor == 1 else self.add("Mul", rows(), self.whole(dim.factor))

    def _element_type(self, dtype: str) -> int:
        if dtype == "str":
            return int(self._onnx.TensorProto.STRING)
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _new_name(self, stem: str) -> str:
        name = stem if stem not in self._taken else ""
        while not name or name in self._taken:
            self._count += 1
            name = f"{stem}_{self._count}"
        self._taken.add(name)
        return name

    def _value_info(self, port: Port) -> Any:
        dims = [ROWS, *port.shape]
        kind = self._element_type(port.dtype)
        return self._onnx.helper.make_tensor_value_info(port.name, kind, dims, doc_string=port.about)

    def finish(self, inputs: Sequence[Port], outputs: Sequence[Port], metadata: Mapping[str, Any]) -> bytes:
        """The whole file.

        Args:
            inputs, outputs: what it takes and gives.
            metadata: JSON values that it carries.

        Raises:
            ArgumentError: it is larger than an ONNX file may be.
        """
        helper = self._onnx.helper
        ends = [[self._value_info(port) for port in ports] for ports in (inputs, outputs)]
        graph = helper.make_graph(self._nodes, "fallline", *ends, initializer=self._initializers)
        domains = {node.domain for node in self._nodes} | {""}
        versions = [helper.make_opsetid(name, ML_OPSET if name else OPSET) for name in sorted(domains)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION, producer_name="fallline")
        helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
        size = model.ByteSize()
        if size > LARGEST:
            raise ArgumentError(
                f"export_onnx: the model has {size / 1e9:.1f} GB, and an ONNX file holds at most "
                f"{LARGEST / 1e9:.1f} GB; train a smaller network"
            )
        try:
            self._onnx.checker.check_model(model)
        except self._onnx.checker.ValidationError as error:
            raise GraphError(f"export_onnx: the ONNX graph is not well formed: {error}") from None
        return bytes(model.SerializeToString(deterministic=True))
