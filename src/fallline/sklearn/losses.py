"""scikit-learn's losses of raw outputs z against targets t, both (rows, outputs), and what makes predictions of z.

    log_loss, one output or several labels:   Σⱼ log(1 + eᶻ) − t·z         the outputs are sigmoid(z)
    log_loss, classes that exclude each other: −Σⱼ tⱼ·log softmax(z)ⱼ       softmax(z)
    squared_error:                             ½·Σⱼ (z − t)²                z
    poisson:                                   Σⱼ eᶻ − t·z + t·log t − t    eᶻ

scikit-learn tells ½ of the *mean* over outputs as the squared error, but descends along the sum's gradient. So does
this: `share` is what the told loss is multiplied with.
"""

from typing import Any, cast

from fallline.errors import ShapeError
from fallline.ir.types import BATCH, format_shape
from fallline.nn import losses
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor

OUT_ACTIVATIONS = {
    "identity": lambda z: z,
    "exp": f.exp,
    "logistic": f.sigmoid,
    "softmax": f.softmax,
}
REGRESSION = {"absolute_error": losses.MeanAbsoluteError, "huber": losses.Huber}
"""Losses of `fallline.nn.losses` by the names that scikit-learn's other regressors have for them."""


def row_losses(loss: Any, out_activation: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    """The loss of each row, (rows,), whose gradient is followed; and the share of it that is told.

    Args:
        loss: "log_loss", "squared_error", "poisson", a key of `REGRESSION`, or what `nn.losses.get` takes.
        out_activation: a key of `OUT_ACTIVATIONS`.
        outputs: z.
        targets: t.

    Raises:
        ShapeError: a loss of the user's own does not give a number for each row.
    """
    z, t = outputs, targets
    if loss == "log_loss" and out_activation == "softmax":
        return losses.CrossEntropy().rows(z, t), 1.0
    if loss == "log_loss":
        return (f.softplus(z) - z * t).sum(axis=1), 1.0
    if loss == "squared_error":
        return ((z - t) * (z - t)).sum(axis=1) * 0.5, 1.0 / cast(int, z.shape[1])
    if loss == "poisson":
        constant = f.where(t > 0.0, t * f.log(f.where(t > 0.0, t, 1.0)), 0.0) - t
        return (f.exp(z) - t * z + constant).sum(axis=1), 1.0
    return _own(loss, z, t), 1.0


def _own(loss: Any, z: Tensor, t: Tensor) -> Tensor:
    chosen = REGRESSION[loss]() if isinstance(loss, str) and loss in REGRESSION else losses.get(loss)
    rows = chosen.rows(z, t)
    if isinstance(rows, Tensor) and rows.ndim > 1 and rows.shape[0] == BATCH:
        rows = rows.mean(tuple(range(1, rows.ndim)))
    if not isinstance(rows, Tensor) or rows.shape != (BATCH,):
        found = format_shape(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise ShapeError(
            f"the loss {loss!r} must return one number for each row, a tensor of shape (n,) made of its arguments "
            f"(outputs, targets) by operators and fl.* functions; found {found}"
        )
    return rows
