"""Networks and their parts: `Module`, `Parameter`, `Buffer`."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, ShapeError, nearest
from fallline.ir.types import format_shape
from fallline.nn import init
from fallline.ops import philox
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor

Array = NDArray[Any]


class Parameter(Tensor):
    """A weight or bias: a leaf of every graph its layer is part of, with the numbers that training changes.

    Args:
        shape: its shape, known when the layer is made.
        initializer: a name or object of `fallline.nn.init`; drawn from the network's seed and the
            parameter's dotted name, when the network first needs it.
    """

    __slots__ = ("initializer", "value")

    def __init__(self, shape: tuple[int, ...], initializer: "str | init.Initializer" = "glorot_uniform") -> None:
        super().__init__(make_input("parameter", tuple(shape), "float32").node)
        self.initializer = init.get(initializer)
        self.value: Array | None = None

    def draw(self, seed: int, name: str) -> None:
        """Set the value that (seed, dotted name) determine."""
        shape: Any = self.shape
        self.value = self.initializer(philox.key(seed, "init", name), shape).astype(np.float32)


class Buffer(Tensor):
    """An array that a layer keeps but gradient descent does not change, such as BatchNorm's running mean."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Array = np.asarray(value, dtype=np.float32)
        super().__init__(make_input("buffer", self.value.shape, "float32").node)


class Module:
    """A network or a part of one.

    To write your own, subclass it, make layers and `Parameter`s in `__init__`, and say in
    `__call__(self, x)` what becomes of x, with operators and `fl.*` functions:

        class Residual(nn.Module):
            def __init__(self, width):
                self.inner = nn.Linear(width, width)

            def __call__(self, x):              # (rows, width)
                return x + fl.relu(self.inner(x))

    `__call__` is traced on symbolic tensors; it runs no numbers. Parameters get dotted names from the
    attributes that hold them ("inner.weight"); lists and tuples of modules count by number.
    """

    seed: int = 0
    _input_signature: tuple[tuple[int, ...], str] | None = None

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, x)")

    def __init_subclass__(cls, **options: Any) -> None:
        """Let the nodes that the class's `__call__` makes remember the module that made them."""
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            cls.__call__ = _scoped(vars(cls)["__call__"])  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def _repr_html_(self) -> str:
        from fallline.report.display import network_table  # a convenience that points upwards

        return network_table(self)

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return ", ".join(f"{name}={part!r}" for name, part in self.children() if isinstance(part, Module))

    @property
    def training(self) -> bool:
        """Whether the module is being traced for training (else for prediction)."""
        from fallline.nn.trace import current_trace  # tracing is built on modules

        trace = current_trace()
        return trace is not None and trace.training

    def children(self) -> Iterator[tuple[str, Any]]:
        """(name, part) for every module, parameter and buffer that an attribute holds, in order of creation."""
        for name, value in vars(self).items():
            yield from _parts(name, value)

    def named_modules(self, prefix: str = "") -> dict[str, "Module"]:
        """Every module inside, itself first (as ""), by dotted name; one that is shared counts once."""
        found: dict[str, Module] = {}
        seen: set[int] = set()
        _collect_modules(self, prefix, found, seen)
        return found

    def named_parameters(self) -> dict[str, Parameter]:
        """The `Parameter` objects by dotted name; a shared one counts once, under its first name."""
        return self._leaves(Parameter)

    def named_buffers(self) -> dict[str, Buffer]:
        """The `Buffer` objects by dotted name."""
        return self._leaves(Buffer)

    @overload
    def _leaves(self, kind: type[Parameter]) -> dict[str, Parameter]: ...
    @overload
    def _leaves(self, kind: type[Buffer]) -> dict[str, Buffer]: ...
    def _leaves(self, kind: Any) -> Any:
        found: dict[str, Any] = {}
        seen: set[int] = set()
        for path, module in self.named_modules().items():
            for name, part in module.children():
                if isinstance(part, kind) and id(part) not in seen:
                    seen.add(id(part))
                    found[f"{path}.{name}" if path else name] = part
        return found

    def initialize(self, seed: int | None = None) -> "Module":
        """Draw every parameter anew from `seed` (the network's own by default) and its dotted name."""
        if seed is not None:
            self.seed = seed
        for name, parameter in self.named_parameters().items():
            parameter.draw(self.seed, name)
        return self

    def parameters(self) -> dict[str, Array]:
        """Copies of all weights and biases by dotted name, such as {"0.weight": (in, out), "0.bias": (out,)}."""
        values: dict[str, Array] = {}
        for name, parameter in self.named_parameters().items():
            if parameter.value is None:
                parameter.draw(self.seed, name)
            values[name] = np.array(parameter.value)
        return values

    def buffers(self) -> dict[str, Array]:
        """Copies of all buffers by dotted name."""
        return {name: buffer.value.copy() for name, buffer in self.named_buffers().items()}

    def load_parameters(self, weights: Mapping[str, Any]) -> None:
        """Set all weights and biases.

        Args:
            weights: every parameter by dotted name, finite, of the right shape.

        Raises:
            ArgumentError: a name is missing or unknown, or a value is NaN or infinite.
            ShapeError: a shape is wrong.
        """
        self._load(self.named_parameters(), weights, "load_parameters", "parameter")

    def load_buffers(self, values: Mapping[str, Any]) -> None:
        """Set all buffers; the same rules as `load_parameters`."""
        self._load(self.named_buffers(), values, "load_buffers", "buffer")

    @staticmethod
    def _load(own: Mapping[str, Any], values: Mapping[str, Any], call: str, what: str) -> None:
        check_names(own, values, call, what)
        checked = {name: _checked_value(call, what, name, leaf.shape, values[name]) for name, leaf in own.items()}
        dtype = np.result_type(np.float32, *checked.values())  # one dtype for all: float64 if any is
        for name, leaf in own.items():
            leaf.value = checked[name].astype(dtype)

    @property
    def dtype(self) -> str:
        """float32, or float64 after a training in float64 or after loading weights of which one is float64."""
        values = [parameter.value for parameter in self.named_parameters().values() if parameter.value is not None]
        return str(values[0].dtype) if values else "float32"

    def predict(self, x: Any, batch_size: int = 4096) -> Array:
        """The network's raw outputs (logits for classification).

        Args:
            x: rows, shape (rows, …); floats, or whole numbers for an Embedding.
            batch_size: how many rows are computed at once; it bounds memory.

        Returns:
            Array (rows, outputs).
        """
        from fallline.nn.trace import predict  # tracing is built on modules

        return predict(self, x, batch_size)

    def save(self, path: Any) -> None:
        """Write the network to a .safetensors file: weights, buffers and the graph that predicts."""
        from fallline.nn.model_file import save_network  # files are built on tracing

        save_network(self, path)


def check_names(own: Mapping[str, Any], given: Mapping[str, Any], call: str, what: str) -> None:
    """Refuse a missing or an unknown name."""
    for name in given:
        if name not in own:
            raise ArgumentError(f"{call}: the network has no {what} named {name!r}; {nearest(name, own)}")
    missing = [name for name in own if name not in given]
    if missing:
        raise ArgumentError(
            f"{call}: {len(missing)} of {len(own)} {what}s were not given: {', '.join(missing[:5])}"
            f"{', …' if len(missing) > 5 else ''}; give every one of them"
        )


def _checked_value(call: str, what: str, name: str, shape: tuple[Any, ...], value: Any) -> Array:
    array = np.asarray(value)
    if array.shape != shape:
        raise ShapeError(
            f"{call}: {what} {name!r} needs shape {format_shape(shape)}, found {format_shape(array.shape)}"
        )
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"{call}: {what} {name!r} must hold numbers, found {array.dtype}")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArgumentError(f"{call}: {what} {name!r} must be finite, found {array[place]} at {place}")
    kind: Literal["float32", "float64"] = "float64" if array.dtype == np.float64 else "float32"
    return np.array(array, dtype=kind)


def _scoped(call: Callable[..., Any]) -> Callable[..., Any]:
    """A `__call__` whose nodes know the name of their module."""

    @wraps(call)
    def scoped(self: Module, *arguments: Any, **options: Any) -> Any:
        from fallline.nn.trace import scope_of  # tracing is built on modules

        with scope_of(self):
            return call(self, *arguments, **options)

    return scoped


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Module | Parameter | Buffer):
        yield name, value
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _parts(f"{name}.{number}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _parts(f"{name}.{key}", item)


def _collect_modules(module: Module, path: str, found: dict[str, Module], seen: set[int]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    found[path] = module
    for name, part in module.children():
        if isinstance(part, Module):
            _collect_modules(part, f"{path}.{name}" if path else name, found, seen)
