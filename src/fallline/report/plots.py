"""`fl.plot_backprop` and `fl.plot_landscape`: pictures of a network's own numbers, for Python and notebooks."""

from os import PathLike
from typing import Any

import numpy as np

from fallline import optim
from fallline.errors import ArgumentError, KindError
from fallline.nn.module import Module
from fallline.report.backward_flow import backward_picture
from fallline.report.descent import descent_picture
from fallline.report.figure import Figure
from fallline.report.path_figure import path_picture
from fallline.training.recording import Given
from fallline.training.replay import replayer_of
from fallline.training.run import Run


def plot_backprop(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    *,
    optimizer: optim.Optimizer | None = None,
    sample_weight: Any = None,
    training: bool = False,
) -> Figure:
    """Draw backpropagation through a network: activations forwards, dL/da backwards, dL/dw at each layer.

    All numbers are those of this network and these rows: of a batch, or of one row. Nothing is changed.

    Args:
        net: any network.
        x: inputs (rows, …), or one row (features,).
        y: targets, as the loss wants them; for one row its own: a class, or its row of numbers.
        loss: a name, a loss object or a function.
        optimizer: whose step of one weight is shown; plain SGD(lr=0.1) if not given.
        sample_weight: (rows,).
        training: trace the network as in training (Dropout acts, BatchNorm uses these rows) or for prediction.

    Returns:
        A `Figure`: Jupyter shows it, `.save("flow.svg")` or `.save("flow.png")` writes it.

    Raises:
        ArgumentError, ShapeError, KindError: the data do not fit the network or the loss.
    """
    inputs, targets = _rows(x, y)
    svg = backward_picture(
        net, inputs, targets, loss, optimizer=optimizer, sample_weight=sample_weight, training=training,
        call="plot_backprop",
    )  # fmt: skip
    return Figure(svg, "Backpropagation through every layer")


def _rows(x: Any, y: Any) -> tuple[Any, Any]:
    """One row as a batch of one; whole numbers in a line are rows already, as an embedding takes them."""
    inputs = np.asarray(x) if isinstance(x, list | tuple) else x
    if getattr(inputs, "ndim", None) != 1 or (inputs.dtype.kind in "iub" and np.ndim(y) == 1):
        return x, y
    return inputs[None], np.asarray(y)[None]


def plot_landscape(
    net_or_run: Any,
    x: Any = None,
    y: Any = None,
    loss: Any = "cross_entropy",
    *,
    sample_weight: Any = None,
    weights: tuple[str, str] | None = None,
    steps: int = 20,
    grid: int = 41,
) -> Figure:
    """Draw the loss as a landscape: with gradient descent on it, of a network; with the path it took, of a run.

    Of a network: the loss over two weights, all others held still, in float64 and prediction mode, and three descents
    on all rows, really run, with a learning rate that is too small, right, and too large. Nothing is changed.

    Of a run: the loss over the plane of the path's two principal components (or over two weights), and the weights of
    up to 61 moments of the training, by replay.

    Args:
        net_or_run: a network, a `Run`, or a run's folder.
        x: inputs (rows, …): needed for a network and for a folder. Of many rows some are used, which the picture says.
        y: targets.
        loss: of a network, a name, a loss object or a function; a run has its own.
        sample_weight: (rows,), as for `fit`.
        weights: two weights such as ("2.weight[0,1]", "2.bias[1]"). By default, of a network, two of the last layer
            whose valley is neither a round bowl nor a gorge; of a run, the plane.
        steps: of a network: how many steps each descent makes.
        grid: on how many points a side the landscape is computed.

    Returns:
        A `Figure`: Jupyter shows it, `.save("landscape.svg")` or `.save("landscape.png")` writes it.

    Raises:
        ArgumentError, ShapeError, KindError: the data do not fit; a weight does not exist; or there is no valley.
        RunFolderError: there is no such run, or it cannot be replayed.
    """
    if not isinstance(net_or_run, Module):
        if not isinstance(net_or_run, Run | str | PathLike):
            raise KindError(f"plot_landscape: give a network, a run or a run's folder, found {net_or_run!r}")
        replayer = replayer_of(net_or_run, Given(x, y, sample_weight, None, None, None, (), None), "plot_landscape")
        return Figure(path_picture(replayer, weights, grid, "plot_landscape"), "Where the training went")
    if x is None or y is None:
        raise ArgumentError("plot_landscape: a network holds no data: give x and y, or give the run that trained it")
    svg = descent_picture(
        net_or_run, x, y, loss, sample_weight=sample_weight, weights=weights, steps=steps, grid=grid,
        call="plot_landscape",
    )  # fmt: skip
    return Figure(svg, "The loss as a landscape, and three descents on it")
