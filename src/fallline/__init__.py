"""Fallline trains neural networks by backpropagation and stochastic gradient descent.

Importing it loads nothing heavy: every name is fetched from its room when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fallline import nn, optim
    from fallline.backprop.transforms import grad, hvp
    from fallline.data.batches import batch_order
    from fallline.data.sources import read_table
    from fallline.engine.threads import set_threads
    from fallline.errors import (
        ArgumentError,
        DataError,
        FalllineError,
        GraphError,
        KindError,
        MissingExtraError,
        ModelFileError,
        RunFolderError,
        ShapeError,
    )
    from fallline.export.onnx_file import export_onnx
    from fallline.insight.diff import diff
    from fallline.insight.explain import explain
    from fallline.insight.leave_out import leave_out
    from fallline.insight.profile import profile
    from fallline.insight.row_norms import row_gradient_norms
    from fallline.insight.suspects import suspects
    from fallline.insight.verify import verify
    from fallline.ops.functions import (
        absolute,
        broadcast,
        cast,
        clip,
        concatenate,
        erf,
        exp,
        expm1,
        log,
        log1p,
        log_softmax,
        logsumexp,
        matmul,
        max,
        maximum,
        mean,
        minimum,
        one_hot,
        relu,
        reshape,
        sigmoid,
        sign,
        softmax,
        softplus,
        sqrt,
        stack,
        stop_gradient,
        sum,
        take,
        tanh,
        transpose,
        where,
    )
    from fallline.ops.tensor import Tensor
    from fallline.report.plots import plot_backprop, plot_landscape
    from fallline.tables.model import load
    from fallline.training.callbacks import Callback
    from fallline.training.evaluate import evaluate
    from fallline.training.fit import fit
    from fallline.training.gradient_check import check_gradients
    from fallline.training.observers import Observer
    from fallline.training.plan import plan
    from fallline.training.replay import replay
    from fallline.training.resume import resume
    from fallline.training.run import Run
    from fallline.training.step import loss_and_gradients, trace

_ROOMS = {
    "backprop.transforms": "grad hvp",
    "data.batches": "batch_order",
    "data.sources": "read_table",
    "engine.threads": "set_threads",
    "errors": "ArgumentError DataError FalllineError GraphError KindError MissingExtraError ModelFileError "
    "RunFolderError ShapeError",
    "export.onnx_file": "export_onnx",
    "insight.diff": "diff",
    "insight.explain": "explain",
    "insight.leave_out": "leave_out",
    "insight.profile": "profile",
    "insight.row_norms": "row_gradient_norms",
    "insight.suspects": "suspects",
    "insight.verify": "verify",
    "ops.functions": "absolute broadcast cast clip concatenate erf exp expm1 log log1p log_softmax logsumexp matmul "
    "max maximum mean minimum one_hot relu reshape sigmoid sign softmax softplus sqrt stack stop_gradient sum take "
    "tanh transpose where",
    "ops.tensor": "Tensor",
    "report.plots": "plot_backprop plot_landscape",
    "tables.model": "load",
    "training.callbacks": "Callback",
    "training.evaluate": "evaluate",
    "training.fit": "fit",
    "training.gradient_check": "check_gradients",
    "training.observers": "Observer",
    "training.plan": "plan",
    "training.replay": "replay",
    "training.resume": "resume",
    "training.run": "Run",
    "training.step": "loss_and_gradients trace",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}
_SUBPACKAGES = ("nn", "optim")

__all__ = [
    "ArgumentError",
    "Callback",
    "DataError",
    "FalllineError",
    "GraphError",
    "KindError",
    "MissingExtraError",
    "ModelFileError",
    "Observer",
    "Run",
    "RunFolderError",
    "ShapeError",
    "Tensor",
    "absolute",
    "batch_order",
    "broadcast",
    "cast",
    "check_gradients",
    "clip",
    "concatenate",
    "diff",
    "erf",
    "evaluate",
    "exp",
    "explain",
    "expm1",
    "export_onnx",
    "fit",
    "grad",
    "hvp",
    "leave_out",
    "load",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "loss_and_gradients",
    "matmul",
    "max",
    "maximum",
    "mean",
    "minimum",
    "nn",
    "one_hot",
    "optim",
    "plan",
    "plot_backprop",
    "plot_landscape",
    "profile",
    "read_table",
    "relu",
    "replay",
    "reshape",
    "resume",
    "row_gradient_norms",
    "set_threads",
    "sigmoid",
    "sign",
    "softmax",
    "softplus",
    "sqrt",
    "stack",
    "stop_gradient",
    "sum",
    "suspects",
    "take",
    "tanh",
    "trace",
    "transpose",
    "verify",
    "where",
]


def __getattr__(name: str) -> Any:
    """Fetch a public name from its room, once."""
    if name in _SUBPACKAGES:
        value: Any = import_module(f"fallline.{name}")
    elif name in _HOME:
        value = getattr(import_module(f"fallline.{_HOME[name]}"), name)
    elif name == "__version__":
        value = import_module("fallline.training.run_folder").package_version()
    else:
        raise AttributeError(f"module 'fallline' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
