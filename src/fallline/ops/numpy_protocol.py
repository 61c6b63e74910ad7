"""What NumPy's own functions do with a symbolic tensor: operators work, all else says what to use instead."""

from collections.abc import Callable
from typing import Any, NoReturn

from fallline.errors import KindError

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: b.__radd__(a),
    "subtract": lambda a, b: b.__rsub__(a),
    "multiply": lambda a, b: b.__rmul__(a),
    "divide": lambda a, b: b.__rtruediv__(a),
    "power": lambda a, b: b.__rpow__(a),
    "matmul": lambda a, b: b.__rmatmul__(a),
    "equal": lambda a, b: b == a,
    "not_equal": lambda a, b: b != a,
    "less": lambda a, b: b > a,
    "less_equal": lambda a, b: b >= a,
    "greater": lambda a, b: b < a,
    "greater_equal": lambda a, b: b <= a,
}
"""NumPy's ufuncs behind `array ∘ tensor`, by name: the tensor is always the right operand."""

_OUR_NAMES = {"abs": "absolute", "amax": "max", "vstack": "concatenate", "hstack": "concatenate"}


def apply_ufunc(tensor_type: type, name: str, method: str, inputs: tuple[Any, ...]) -> Any:
    """`array ∘ tensor` as a node of the graph; any other ufunc is refused."""
    plain = method == "__call__" and len(inputs) == 2 and not isinstance(inputs[0], tensor_type)
    if plain and name in _OPERATORS:
        return _OPERATORS[name](inputs[0], inputs[1])
    refuse(name)


def refuse(name: str) -> NoReturn:
    """Say that a NumPy function cannot be traced, and which of ours can."""
    from fallline.ops import functions

    ours = _OUR_NAMES.get(name, name)
    instead = (
        f"use fl.{ours}"
        if hasattr(functions, ours) and not ours.startswith("_")
        else "use operators and fl.* functions"
    )
    raise KindError(f"np.{name} cannot take a symbolic tensor, which has no numbers while it is traced: {instead}")
