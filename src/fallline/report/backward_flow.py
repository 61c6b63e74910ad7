"""The picture of backpropagation: dL/dw flowing backwards through every layer, with its numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fallline import optim
from fallline.errors import KindError
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.report.layer_flow import Flow, LayerFlow, flow_of
from fallline.report.svg import Picture, figure, shortened, width_of
from fallline.report.unit_flow import draw_units, units_height
from fallline.report.words import count
from fallline.training.step import check_rows

WIDTH = 900
EDGE, END = 24.0, 92.0  # margin; width of the columns of x and of the loss
FORWARD, BOX_TOP, BOX_HEIGHT, BACKWARD, CARD_TOP = 140.0, 156.0, 74.0, 246.0, 312.0
CARD_HEIGHT, NARROW_HEIGHT, NARROW, LEGEND_HEIGHT = 128.0, 176.0, 125.0, 146.0
MOST_COLUMNS = 6


def backward_picture(
    net: Module,
    x: Any,
    y: Any,
    loss: Any = "cross_entropy",
    *,
    optimizer: optim.Optimizer | None = None,
    sample_weight: Any = None,
    training: bool = False,
    call: str = "backward_picture",
) -> str:
    """The backward flow of dL/dw through every layer with its numbers, as SVG.

    Layers with weights stand from left to right. Above them the activations flow forwards to the loss; below
    them dL/da flows backwards from it; under each layer lies what backpropagation leaves there, dL/dw. One
    weight, that with the largest |dL/dw|, shows what gradient descent then does. Nothing is changed.

    Args:
        net: any network; its parameters are put together to layers by their dotted names.
        x: inputs (rows, …).
        y: targets.
        loss: a name, a loss object or a function.
        optimizer: whose step is shown; plain SGD(lr=0.1) if not given.
        sample_weight: (rows,).
        training: trace the network as in training (Dropout acts, BatchNorm uses these rows) or for prediction.
        call: who asks, for errors.

    Returns:
        An SVG document, 900 pixels wide. Of more than six layers the middle ones are left out, which it says. One row
        through at most four dense layers of at most ten units is drawn unit by unit, too.

    Raises:
        ArgumentError, ShapeError, KindError: the data do not fit the network or the loss.
    """
    rule = optim.SGD(lr=0.1) if optimizer is None else optimizer
    if not isinstance(rule, optim.Optimizer):
        raise KindError(f"{call}: optimizer must be an object of fallline.optim, found {optimizer!r}")
    chosen = get_loss(loss)
    rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, call)
    return _draw(flow_of(net, rows, chosen, rule, training), rule, getattr(chosen, "name", "") or "loss")


@dataclass(frozen=True)
class _Column:
    """A layer's place: its centre and the width it may use; `layer` is None for the layers left out."""

    layer: LayerFlow | None
    centre: float
    width: float
    left_out: int = 0


def _draw(flow: Flow, rule: optim.Optimizer, loss_name: str) -> str:
    columns = _columns(_together(flow.layers))
    card = NARROW_HEIGHT if columns[0].width < NARROW else CARD_HEIGHT
    legend = CARD_TOP + card + 28
    units = legend + LEGEND_HEIGHT + 24
    height = units + (units_height(flow.units) if flow.units else 0)
    picture = Picture("backward", WIDTH, height, "Backpropagation through every layer", _description(flow))
    picture.rect(0, 0, WIDTH, height, fill="paper", radius=10)
    picture.text(EDGE, 36, "Backpropagation: from the loss back to every weight", size=19, bold=True)
    told = f"One pass over {count(flow.rows, 'row')}: forwards to the loss, then backwards to dL/dw."
    picture.text(EDGE, 57, f"{told} ‖g‖ is the length of a gradient, √Σg².", colour="muted")
    _ends(picture, flow, loss_name)
    for column in columns:
        _box(picture, column)
        _card(picture, column, card)
    _forward(picture, flow, columns)
    _backward(picture, flow, columns)
    _legend(picture, flow, rule, legend)
    if flow.units:
        draw_units(picture, flow.units, units)
    return picture.svg()


def _description(flow: Flow) -> str:
    layers = " ".join(
        f"Layer {layer.name}: {', '.join(f'‖dL/d{part}‖ = {figure(norm)}' for part, norm in layer.norms.items())}, "
        f"largest {figure(layer.largest[1])} at {layer.largest[0]}."
        for layer in flow.layers
    )
    return (
        f"The loss of {count(flow.rows, 'row')} is {figure(flow.loss, 4)}. Backwards from it, the mean "
        f"|dL/d output| is {figure(flow.size_back)}. {layers} Gradient descent changes {flow.example} from "
        f"{figure(flow.before, 4)} to {figure(flow.after, 4)}."
    )


def _together(layers: Sequence[LayerFlow]) -> list[LayerFlow]:
    """Embedding tables, which stand beside each other, as one layer."""
    tables = [layer for layer in layers if layer.kind == "embedding"]
    if len(tables) < 2:
        return list(layers)
    largest = max((table.largest for table in tables), key=lambda one: abs(one[1]))
    norms = {"weight": math.sqrt(sum(table.norms["weight"] * table.norms["weight"] for table in tables))}
    shape: dict[str, tuple[int, ...]] = {"tables": (len(tables),)}
    one = replace(tables[0], name=f"{len(tables)} embeddings", module="", largest=largest, norms=norms, shapes=shape)
    return [one, *(layer for layer in layers if layer.kind != "embedding")]


def _columns(layers: Sequence[LayerFlow]) -> list[_Column]:
    shown: list[LayerFlow | None] = list(layers)
    if len(layers) > MOST_COLUMNS:
        shown = [*layers[:3], None, *layers[-2:]]
    pitch = (WIDTH - 2 * (EDGE + END)) / len(shown)
    width = min(pitch - 18.0, 190.0)
    return [
        _Column(layer, EDGE + END + pitch * (number + 0.5), width, len(layers) - len(shown) + 1)
        for number, layer in enumerate(shown)
    ]


def _ends(picture: Picture, flow: Flow, loss_name: str) -> None:
    """x at the left, the loss at the right."""
    x, middle = EDGE, BOX_TOP + BOX_HEIGHT / 2
    picture.rect(x, BOX_TOP, END - 16, BOX_HEIGHT, fill="panel", stroke="hair", radius=8)
    picture.text(x + (END - 16) / 2, middle - 4, "x", size=15, bold=True, anchor="middle")
    picture.text(
        x + (END - 16) / 2, middle + 14, count(flow.inputs, "number"), colour="muted", size=11, anchor="middle"
    )
    x = WIDTH - EDGE - END + 16
    picture.rect(x, BOX_TOP, END - 16, BOX_HEIGHT, fill="panel", stroke="ink", radius=8)
    centre = x + (END - 16) / 2
    picture.text(centre, middle - 14, "loss L", size=13, bold=True, anchor="middle")
    loss = figure(flow.loss, 4)
    size = 15.0 if width_of(loss, 16.5) < END - 22 else 11.5
    picture.text(centre, middle + 6, loss, size=size, bold=True, anchor="middle")
    picture.text(centre, middle + 24, shortened(loss_name, END - 18, 10), colour="muted", size=10, anchor="middle")


def _box(picture: Picture, column: _Column) -> None:
    layer, centre = column.layer, column.centre
    if layer is None:
        picture.text(centre, BOX_TOP + BOX_HEIGHT / 2 - 2, "…", size=20, bold=True, anchor="middle")
        told = f"{column.left_out} more"
        picture.text(centre, BOX_TOP + BOX_HEIGHT / 2 + 18, told, colour="muted", size=11, anchor="middle")
        return
    picture.rect(centre - column.width / 2, BOX_TOP, column.width, BOX_HEIGHT, fill="panel", stroke="hair", radius=8)
    lines = [(_title(layer), 13.5, True), (_shape(layer), 12.0, False)]
    after = "beside the others" if layer.beside else f"then {layer.activation}" if layer.activation else ""
    lines += [(after, 11.0, False)] if after else []
    y = BOX_TOP + BOX_HEIGHT / 2 + 5 - 9 * (len(lines) - 1)
    for text, size, bold in lines:
        colour = "ink" if bold or size == 12.0 else "muted"
        fitting = shortened(text, column.width - 10, size * (1.12 if bold else 1.0))
        picture.text(centre, y, fitting, colour=colour, size=size, bold=bold, anchor="middle")
        y += 18


def _title(layer: LayerFlow) -> str:
    return " · ".join(part for part in (layer.name, layer.module) if part)


def _shape(layer: LayerFlow) -> str:
    shape = next(iter(layer.shapes.values()))
    if "tables" in layer.shapes:
        return "lookup tables"
    if layer.kind == "linear" and len(shape) == 2:
        return f"{shape[0]} → {shape[1]}"
    return {"embedding": "table ", "scale": "scale "}.get(layer.kind, "") + "×".join(map(str, shape))


def _card(picture: Picture, column: _Column, height: float) -> None:
    """What backpropagation leaves at a layer."""
    layer, left = column.layer, column.centre - column.width / 2
    if layer is None:
        return
    picture.arrow(column.centre, BOX_TOP + BOX_HEIGHT, column.centre, CARD_TOP - 2, colour="orange", width=1.4)
    picture.rect(left, CARD_TOP, column.width, height, fill="panel", radius=8)
    picture.rect(left, CARD_TOP, column.width, 3, fill="orange", radius=1.5)
    rows = [(f"‖dL/d{_letter(part)}‖", figure(norm)) for part, norm in list(layer.norms.items())[:2]]
    rows.append(("largest", figure(layer.largest[1])))
    stacked = 17.0 if height == NARROW_HEIGHT else 0.0  # a narrow card has each number below its label
    y = CARD_TOP + 22
    for label, value in rows:
        picture.text(left + 8, y, label, colour="muted", size=11)
        picture.text(left + column.width - 8, y + stacked, value, bold=True, anchor="end")
        y += 20 + 0.9 * stacked
    place = shortened(f"at {layer.largest[0].removeprefix(f'{layer.name}.')}", column.width - 14, 11)
    picture.text(left + column.width - 8, y - 3, place, colour="muted", size=11, anchor="end")
    rule = {"linear": "dL/dW = aᵀ·δ", "embedding": "Σ δ of its rows", "scale": "dL/dw = Σ a·δ"}[layer.kind]
    picture.text(column.centre, CARD_TOP + height - 10, rule, colour="orange", size=11.5, anchor="middle")


def _letter(part: str) -> str:
    return {"weight": "W", "bias": "b"}.get(part, shortened(part, 40, 11))


def _stops(columns: Sequence[_Column]) -> list[float]:
    """The centres of everything from x to the loss."""
    return [EDGE + (END - 16) / 2, *(column.centre for column in columns), WIDTH - EDGE - (END - 16) / 2]


def _edges(columns: Sequence[_Column]) -> list[tuple[float, float]]:
    """(right side of one thing, left side of the next) from x to the loss."""
    rights = [EDGE + END - 16, *(column.centre + column.width / 2 for column in columns)]
    lefts = [*(column.centre - column.width / 2 for column in columns), WIDTH - EDGE - END + 16]
    return list(zip(rights, lefts, strict=True))


def _forward(picture: Picture, flow: Flow, columns: Sequence[_Column]) -> None:
    picture.text(EDGE, 88, "forwards: activations a", colour="blue", size=12.5, bold=True)
    stops = _stops(columns)
    given = [column.layer.given if column.layer else None for column in columns]
    sizes = [*(column.layer.size_in if column.layer else None for column in columns), flow.size_out]
    for k, (number, size) in enumerate(zip([*given, flow.outputs], sizes, strict=True)):
        middle = sum(_edges(columns)[k]) / 2
        picture.arrow(stops[k] + 6, FORWARD, stops[k + 1] - 6, FORWARD, colour="blue", width=1.8, head=7)
        if number is None or size is None:
            continue
        picture.text(middle, FORWARD - 24, count(number, "number"), colour="muted", size=10.5, anchor="middle")
        picture.text(middle, FORWARD - 9, f"|a| {figure(size)}", size=11.5, anchor="middle")
    picture.text(WIDTH - EDGE, 88, "|a|: mean size", colour="muted", size=11, anchor="end")


def _backward(picture: Picture, flow: Flow, columns: Sequence[_Column]) -> None:
    stops = _stops(columns)
    sizes = [*(column.layer.size_back if column.layer else None for column in columns), flow.size_back]
    for k, size in enumerate(sizes):
        middle = sum(_edges(columns)[k]) / 2
        if k == 0:
            continue
        picture.arrow(stops[k + 1] - 6, BACKWARD, stops[k] + 6, BACKWARD, colour="orange", width=1.8, head=7)
        if size is not None:
            picture.text(
                middle, BACKWARD + 17, "mean |dL/da|", colour="muted", size=10.5, anchor="middle", halo="paper"
            )
            picture.text(middle, BACKWARD + 33, figure(size), size=11.5, anchor="middle", halo="paper")
    for line, text in enumerate(("x is data:", "the flow", "ends here")):
        picture.text(EDGE, BACKWARD + 17 + 14 * line, text, colour="muted", size=11)
    picture.text(EDGE, CARD_TOP + 14, "backwards:", colour="orange", size=12.5, bold=True)
    picture.text(EDGE, CARD_TOP + 31, "dL/da, and", colour="orange", size=12.5, bold=True)
    picture.text(EDGE, CARD_TOP + 48, "dL/dw", colour="orange", size=12.5, bold=True)


def _legend(picture: Picture, flow: Flow, rule: optim.Optimizer, top: float) -> None:
    """The two, side by side: what backpropagation computes, and what gradient descent makes of it."""
    width = (WIDTH - 2 * EDGE - 16) / 2
    left, right = EDGE, EDGE + width + 16
    for x, colour in ((left, "orange"), (right, "green")):
        picture.rect(x, top, width, LEGEND_HEIGHT, fill="panel", radius=8)
        picture.rect(x, top, 4, LEGEND_HEIGHT, fill=colour, radius=2)
    picture.text(left + 18, top + 26, "Backpropagation computes", colour="orange", size=14, bold=True)
    lines = ("how the loss changes with every weight and bias, dL/dw,", "by the chain rule, layer by layer, backwards.")
    for k, text in enumerate(lines):
        picture.text(left + 18, top + 49 + 17 * k, text)
    picture.text(left + 18, top + 94, "z = a·W + b,  δ = dL/dz:   dL/dW = aᵀ·δ,  dL/db = Σ δ,  dL/da = δ·Wᵀ", size=12)
    told = "It changes no weight and knows no learning rate."
    picture.text(left + 18, top + 124, told, colour="muted")
    picture.text(right + 18, top + 26, "Gradient descent uses it", colour="green", size=14, bold=True)
    name = type(rule).__name__
    named = f"w ← w − η·dL/dw{'' if name == 'SGD' else f', as {name} refines it'}; η = {rule.lr:g}"
    picture.text(right + 18, top + 49, shortened(named, width - 30))
    for k, text in enumerate(_example(flow, rule)):
        fitting = shortened(text, width - 30)
        picture.text(right + 18, top + 73 + 20 * k, fitting, bold=k == 1)
    told = "It knows no loss and no layer, only w, dL/dw and η."
    picture.text(right + 18, top + 124, told, colour="muted")


def _example(flow: Flow, rule: optim.Optimizer) -> tuple[str, str]:
    hyper = rule.assign([flow.example.partition("[")[0]]).popitem()[1].hyper
    first = f"{flow.example}, where |dL/dw| is largest:"
    before, after, gradient = figure(flow.before, 4), figure(flow.after, 4), figure(flow.gradient, 4)
    if rule.rule.name == "sgd" and not hyper["momentum"] and not hyper["weight_decay"]:
        return first, f"{before} − {hyper['lr']:g} × ({gradient}) = {after}"
    return first, f"{before} becomes {after}, with dL/dw = {gradient}"
