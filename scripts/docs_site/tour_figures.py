"""The tour's figures that can stand still, as SVG: the numbers are those of the lab's experiments."""

from collections.abc import Callable
from typing import Any

from fallline.report.chart import Chart
from fallline.report.svg import figure

Found = dict[str, Any]
HIGHEST = 120.0
"""Up to which loss a valley is drawn."""


def _valley(found: Found, title: str, told: str, legend: list[tuple[str, str, str]]) -> Chart:
    chart = Chart("valley", title, told, (-1.0, 6.0), (0.0, HIGHEST), below="weight w", beside="loss L", legend=legend)
    points = zip(found["places"], found["heights"], strict=True)
    chart.curve([(w, loss) for w, loss in points if loss <= HIGHEST], "ink")
    return chart


def _dot(chart: Chart, x: float, y: float, colour: str, radius: float = 4.5) -> None:
    chart.picture.circle(*chart.place(x, y), radius, fill=colour, stroke="paper", width=1.5)


def _neuron(found: Found) -> Chart:
    w, b, rows = found["w"], found["b"], list(zip(found["x"], found["y"], found["outputs"], strict=True))
    errors = ", ".join(figure(error) for error in found["errors"])
    chart = Chart(
        "neuron", f"A neuron's answers; loss {figure(found['loss'])}",
        f"The line {w:g}·x + {b:g}; its errors are {errors}.", (0, 6), (0, 12), below="hours of sun x", beside="cones",
        legend=[("the neuron's answers", "blue", ""), ("errors", "orange", "")],
    )  # fmt: skip
    for x, y, output in rows:
        chart.curve([(x, y), (x, output)], "orange", width=2.5)
    chart.curve([(0.0, b), (6.0, 6 * w + b)], "blue")
    for x, y, _ in rows:
        _dot(chart, x, y, "ink")
    return chart


def _slope(found: Found) -> Chart:
    w, loss, steep, after, lower = (found[name] for name in ("w", "loss", "slope", "after", "loss_after"))
    chart = _valley(
        found, "The slope, and a step", f"At {w:g} the loss is {figure(loss)} and its slope {figure(steep)}; the step "
        f"leads to {figure(after)}, where the loss is {figure(lower)}.",
        [("slope dL/dw", "orange", ""), ("the step", "green", "4 4")],
    )  # fmt: skip
    reach = 1.1
    chart.curve([(w - reach, loss - reach * steep), (w + reach, loss + reach * steep)], "orange", width=2.5)
    chart.curve([(w, loss), (after, loss), (after, lower)], "green", dash="4 4")
    _dot(chart, w, loss, "ink")
    _dot(chart, after, lower, "green")
    return chart


def _rate(found: Found) -> Chart:
    walk = list(zip(found["walk"], found["losses"], strict=True))
    chart = _valley(
        found, f"{len(walk) - 1} steps with η = {found['lr']:g}; the edge is {figure(found['limit'])}",
        f"The losses: {', '.join(figure(loss) for _, loss in walk)}.", [("steps", "green", "")],
    )  # fmt: skip
    chart.curve(walk, "green")
    for place, loss in walk:
        _dot(chart, place, loss, "green", 3)
    _dot(chart, found["walk"][0], found["losses"][0], "ink")
    return chart


def _check(found: Found) -> Chart:
    steps = [-k for k in range(1, len(found["steps"]) + 1)]
    curves = [("from one side", "orange", found["one"]), ("from both sides", "blue", found["both"])]
    chart = Chart(
        "check", "How far off a measured slope is",
        "The smaller h, the better, until rounding takes over; the two-sided slope gets further.", (-14, -1),
        (1e-11, 1.0), below="h = 10ⁿ, n", beside="relative error", logarithmic=True,
        legend=[(words, colour, "") for words, colour, _ in curves],
    )  # fmt: skip
    for _, colour, errors in curves:
        chart.curve([(n, error) for n, error in zip(steps, errors, strict=True) if error], colour)
    return chart


def _batch(found: Found) -> Chart:
    chosen = found["chosen"]
    names = {"1": "1 row a step", "16": "16 rows", "all": "all 150 rows"}
    lines = [(names[each["batch_size"]], colour, each)
             for each, colour in zip(found["others"], ("orange", "blue", "green"), strict=True)]  # fmt: skip
    told = "; ".join(f"{words}: {each['steps']} steps, loss {figure(each['losses'][-1])}" for words, _, each in lines)
    chart = Chart(
        "batch", f"{found['epochs']} epochs, by rows of a step", f"{told}.", (0, chosen["seen"][-1]), (0.0, 1.2),
        below="rows seen", beside="loss", legend=[(words, colour, "") for words, colour, _ in lines],
    )  # fmt: skip
    for _, colour, each in lines:
        chart.curve(list(zip(each["seen"], each["losses"], strict=True)), colour)
    return chart


def _momentum(found: Found) -> Chart:
    walks = list(zip(found["walks"].items(), ("orange", "blue", "green"), strict=True))
    chart = Chart(
        "momentum", f"{found['steps']} steps down a narrow valley",
        "; ".join(f"{name} ends at {', '.join(figure(at) for at in walk['places'][-1])}" for (name, walk), _ in walks),
        tuple(found["across"]), tuple(found["up"]), below="w₁", beside="w₂",
        legend=[(name if name != "momentum" else "with momentum", colour, "") for (name, _), colour in walks],
    )  # fmt: skip
    for ring in found["rings"]:
        for line in ring:
            chart.curve([(x, y) for x, y in line], "hair", width=1.2)
    for (_, walk), colour in walks:
        chart.curve([(x, y) for x, y in walk["places"]], colour)
    _dot(chart, found["start"][0], found["start"][1], "ink")
    return chart


def _wrong(found: Found) -> Chart:
    norms = found["norms"]
    chart = Chart(
        "wrong", f"{len(norms) - 1} hidden layers with {found['activation']}",
        f"The gradient's norm from the first layer to the last: {', '.join(figure(norm) for norm in norms)}.",
        (0.5, len(norms) + 0.5), (min(norms) / 3, max(norms) * 3), below="layer", beside="‖dL/dW‖", logarithmic=True,
        whole=True,
    )  # fmt: skip
    for k, norm in enumerate(norms, start=1):
        chart.bars((k - 0.35, k + 0.35), (norm,), "orange")
    return chart


def _stop(found: Found) -> Chart:
    chart = Chart(
        "stop", "When to stop", f"The validation loss is lowest after epoch {found['best']}.",
        (0, max(found["epochs"])), (0.0, 0.3), below="epoch", beside="loss",
        legend=[("training rows", "blue", ""), ("validation rows", "orange", "")],
    )  # fmt: skip
    for name, colour in (("training", "blue"), ("validation", "orange")):
        chart.curve(list(zip(found["epochs"], found[name], strict=True)), colour)
    _dot(chart, found["best"], found["lowest"], "orange")
    return chart


def _standalone(draw: Callable[[Found], Chart]) -> Callable[[Found], str]:
    return lambda found: draw(found).picture.svg()


DRAWINGS: dict[str, Callable[[Found], str]] = {
    name: _standalone(draw)
    for name, draw in {
        "neuron": _neuron, "slope": _slope, "rate": _rate, "check": _check, "batch": _batch, "momentum": _momentum,
        "wrong": _wrong, "stop": _stop,
    }.items()
}  # fmt: skip
"""The name of a page → its figure's numbers → SVG. (`chain` and `backward` are walks, which a picture cannot take.)"""
