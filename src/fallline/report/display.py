"""Runs and networks as small tables for notebooks: no script, and every text from outside made harmless."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fallline.ir.types import product
from fallline.nn.module import Buffer, Module, Parameter
from fallline.report.markup import shown, text
from fallline.report.svg import figure
from fallline.report.words import count, duration, metric_name

if TYPE_CHECKING:
    from fallline.training.run import Run

MOST_LAYERS = 60
HIDDEN = ("seconds",)


def network_table(net: Module) -> str:
    """The layers of a network with the shapes and numbers of their weights, as HTML; nothing is drawn or changed.

    Of more than sixty layers the first sixty are shown, and the table says so.
    """
    rows = [row for name, module in net.named_modules().items() for row in _rows(name, module)]
    kept = _size_of(net.named_buffers().values())
    total = f"{count(_size_of(net.named_parameters().values()), 'weight')} in {count(len(rows), 'layer')}"
    also = f", and {count(kept, 'number')} kept beside them" if kept else ""
    left = f"; the first {MOST_LAYERS} layers are shown" if len(rows) > MOST_LAYERS else ""
    caption = f"{type(net).__name__}: {total}{also}{left}"
    cells = [(name, kind, shape, f"{size:,}" if size else "–") for name, kind, shape, size in rows[:MOST_LAYERS]]
    return _table(caption, ("name", "layer", "weights", "numbers"), cells, numbers=1)


def run_table(run: "Run") -> str:
    """What a training was and how it ended, as HTML."""
    rate = getattr(run.optimizer, "lr", None)
    rule = type(run.optimizer).__name__ + ("" if rate is None else f", learning rate {rate:g}")
    network = f"{type(run.network).__name__}, {count(_size_of(run.network.named_parameters().values()), 'weight')}"
    rows = [
        ("network", network),
        ("loss function", getattr(run.loss, "name", "") or type(run.loss).__name__),
        ("update rule", rule),
        ("stopped by", run.stopped or "still training"),
        ("epochs", f"{run.epochs:,} ({count(len(run.steps.get('loss', ())), 'step')})"),
    ]
    if run.best_epoch is not None:
        rows.append(("best epoch", f"{run.best_epoch + 1:,}"))
    rows += [
        (metric_name(name), figure(values[-1], 4))
        for name, values in run.history.items()
        if values and name not in HIDDEN
    ]
    rows.append(("time", duration(run.seconds)))
    rows += [("problem", run.problem)] if run.problem else []
    rows += [("run folder", str(run.folder))] if run.folder is not None else []
    return _table(f"Training, {run.engine} engine", ("", ""), rows)


def _layer(module: Module) -> str:
    inside = module.describe() if not any(isinstance(part, Module) for _, part in module.children()) else ""
    return f"{type(module).__name__}({inside})" if inside else type(module).__name__


def _rows(name: str, module: Module) -> list[tuple[str, str, str, int]]:
    """A module's row; a network from a file, whose parameters keep their dotted names, has one for each layer."""
    layers: dict[str, dict[str, Parameter]] = {}
    for part_name, part in module.children():
        if isinstance(part, Parameter):
            prefix, _, last = part_name.rpartition(".")
            layers.setdefault(prefix, {})[last] = part
    if not layers and not any(isinstance(part, Module) for _, part in module.children()):
        layers[""] = {}
    return [
        (prefix or name or "(itself)", "" if prefix else _layer(module), _shapes(parts), _size_of(parts.values()))
        for prefix, parts in layers.items()
    ]


def _shapes(parts: Mapping[str, Parameter]) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, part.shape)) or '1'}" for name, part in parts.items())


def _size_of(leaves: Iterable[Parameter | Buffer]) -> int:
    sizes = [product(leaf.shape) for leaf in leaves]
    return sum(size for size in sizes if isinstance(size, int))  # which those of weights always are


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """A table; its last `numbers` columns stand at the right."""

    def side(place: int) -> str:
        return "right" if place >= len(head) - numbers else "left"

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="text-align:{side(place)}">{text(shown(value))}</{tag}>' for place, value in enumerate(row)
        )

    named = f"<thead><tr>{cells('th', head)}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<table><caption style="text-align:left">{text(caption)}</caption>{named}<tbody>{body}</tbody></table>'
