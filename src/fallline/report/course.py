"""How the training went, what the network is and costs, and how all of it is done again."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from fallline.report.headline import STOPPED
from fallline.report.history_charts import history_charts
from fallline.report.markup import Section, commands, definitions, figures, folded, paragraph, table
from fallline.report.words import count, duration, percent
from fallline.tables.selection import Selection
from fallline.tables.train import TableRun, predicted_seconds
from fallline.training.plan import Plan
from fallline.training.run import Run

MOST_KERNELS = 12


def training_section(run: Run, selection: Selection | None) -> Section:
    """Losses, metrics and learning rate over the epochs, and those of the training that chose how many."""
    kept = "" if run.best_epoch is None else (
        f" The weights of epoch {run.best_epoch + 1} were kept, where the validation loss was lowest."
    )  # fmt: skip
    told = (
        f"{count(run.epochs, 'epoch')} in {duration(run.seconds)}, until {STOPPED.get(run.stopped, run.stopped)}.{kept}"
    )
    content = [paragraph(told), figures([chart.svg() for chart in history_charts(run.history, run.best_epoch)])]
    if selection is not None:
        before = history_charts(selection.history, selection.epochs - 1, "selection")
        content += [paragraph(f"Before it: {selection.told()}"), figures([chart.svg() for chart in before])]
    return Section("training", "How the training went", content, "Training")


def network_section(result: TableRun, planned: Plan | None) -> Section:
    """The network, its tensors, what a step computes and holds, and the time: predicted and taken."""
    run, recipe = result.run, result.prepared.recipe
    weights = result.model.network.parameters()
    batch = "all rows" if recipe.batch_size == "all" else count(int(recipe.batch_size), "row")
    rate = f"learning rate {recipe.learning_rate:.3g}"
    pairs = [
        ("network", result.model.plan.describe()),
        ("parameters", f"{sum(value.size for value in weights.values()):,}"),
        ("loss", result.prepared.loss),
        ("descent", f"{recipe.optimizer}, {rate}, {recipe.schedule}, {batch} per step"),
        *_costs(result, planned),
        ("engine", run.engine),
    ]
    rows = [(name, " × ".join(map(str, value.shape)), int(value.size)) for name, value in weights.items()]
    tensors = table(("weights", "shape", "numbers"), rows, "The network's weights")
    content = [definitions(pairs), folded(f"All weights: {count(len(rows), 'array')}", tensors)]
    content.append(_kernels(planned))
    return Section("network", "The network and its cost", content, "Network")


def _costs(result: TableRun, planned: Plan | None) -> list[tuple[str, str]]:
    run = result.run
    took = duration(run.seconds)
    if planned is None:
        return [("time", took)]
    predicted = duration(predicted_seconds(result.prepared, planned, run.epochs))
    per_step = f" · {planned.multiply_adds_per_step / max(planned.batch_size, 1):,.0f} per row"
    return [
        ("multiply-adds per step", f"{planned.multiply_adds_per_step:,}{per_step}"),
        ("memory", planned.memory),
        ("time", f"{took} for {count(run.epochs, 'epoch')}; {predicted} were predicted"),
        ("threads", str(planned.threads)),
    ]


def _kernels(planned: Plan | None) -> str:
    """What a step's time goes to, as predicted."""
    if planned is None or not planned.kernels:
        return ""
    whole = sum(kernel.predicted_seconds for kernel in planned.kernels) or 1.0
    order = sorted(planned.kernels, key=lambda kernel: -kernel.predicted_seconds)[:MOST_KERNELS]
    rows = [
        (kernel.what, kernel.part, kernel.calls, kernel.multiply_adds, percent(kernel.predicted_seconds / whole))
        for kernel in order
    ]
    head = ("kernel", "part", "calls", "multiply-adds", "of the predicted time")
    return folded("Where a step's time goes", table(head, rows, "Kernels of a step", "columns"))


def again_section(result: TableRun, lines: Mapping[str, str]) -> Section:
    """Command lines, seed, versions, and what the weights must hash to."""
    run = result.run
    told = (
        "The same data, settings and seed give the same weights, bit for bit, on any number of threads."
        if run.engine == "compiled"
        else "The same data, settings and seed give the same weights on this machine."
    )
    hashes = f"{run.hashes[max(run.hashes)]} after {count(max(run.hashes), 'step')}" if run.hashes else ""
    files = result.model.about.get("files") or {}
    data = [f"{name}: {known['hash']}" for name, known in files.items() if isinstance(known, dict) and "hash" in known]
    pairs = [
        ("seed", str(run.config.get("seed", ""))),
        ("hash of the weights", hashes),
        ("hash of the data", "; ".join(data)),
        ("made", str(result.model.about.get("created", ""))),
        ("with", _versions()),
        ("run folder", "" if run.folder is None else str(run.folder)),
    ]
    return Section("again", "How to do it again", [paragraph(told), commands(lines), definitions(pairs)], "Reproduce")


def _versions() -> str:
    told = []
    for package in ("fallline", "llvmlite", "numpy"):
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # run from its sources
            continue
    return f"{', '.join(told)}; Python {platform.python_version()} on {platform.machine()} {platform.system()}"
