"""What `fallline train` does and shows, step by step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from fallline.cli import show, train_text
from fallline.data.sources import read_table
from fallline.data.spelling import is_missing
from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.tables.columns import guess_target
from fallline.tables.model import TableModel, load
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.train import TableRun, make_network, seconds_per_epoch, train_table
from fallline.training.progress import Silent, Terminal

STOPPED = {
    "epochs": "all epochs are done",
    "patience": "the validation loss has not fallen for {patience} epochs",
    "converged": "the loss no longer falls",
    "nan": "the loss is no longer a number",
    "interrupted": "you interrupted it",
}


class TrainJob:
    """One call of `fallline train`."""

    def __init__(self, data: str, given: Mapping[str, Any]) -> None:
        self.data, self.given = data, given
        self.silent = bool(given["quiet"] or given["as_json"])
        self.console = show.console(self.silent)
        self.folder = self._choose_folder()

    def run(self) -> TableRun:
        """Read, decide, train, score, report."""
        header = False if self.given["no_header"] else None
        table = read_table(self.data, header)
        target = self._target(table)
        options = self._options(header)
        prepared = prepare(table, target, options)
        self._show_data(table, prepared)
        self._show_network(prepared, options)
        about = {
            "data": self.data,
            "target": prepared.target,
            "task": prepared.task,
            "created": _now(),
            "command": show.command("train", *_words(self.data, self.given)),
        }
        view = Silent() if self.silent else Terminal() if self.console.is_terminal else Silent()
        result = train_table(prepared, options, folder=self.folder, about=about, progress=view)
        self._finish(result)
        return result

    def exit_code(self, result: TableRun) -> int:
        """0; 128 + the signal's number when interrupted; 2 when the loss became NaN."""
        if result.run.signal is not None:
            return 128 + result.run.signal
        return 2 if result.run.stopped == "nan" else 0

    def summary(self, result: TableRun) -> dict[str, Any]:
        """The line of `--json`."""
        prepared, folder = result.prepared, self.folder
        parts = prepared.parts
        return {
            "task": prepared.task,
            "metric": prepared.metric,
            "score": _finite(result.scores[prepared.metric]),
            "validation_score": _finite(result.validation_scores[prepared.metric]),
            "rows": sum(len(part) for part in parts.values()),
            "columns": len(prepared.encoder.source_columns),
            "parameters": _parameters(result.model),
            "epochs": result.run.epochs,
            "stopped": result.run.stopped,
            "seconds": round(result.seconds, 3),
            "model": str(folder / "model.safetensors"),
            "run": str(folder),
            "report": str(folder / "report.html"),
        }

    def _target(self, table: Table) -> str:
        if self.given["target"] is not None:
            return table.resolve_column(self.given["target"])
        guess, reason = guess_target(table)
        columns = "\n".join(f"  {i:>3}  {name}" for i, name in enumerate(table.names[:60], start=1))
        more = f"\n       … and {len(table.names) - 60} more" if len(table.names) > 60 else ""
        raise ArgumentError(
            f"which column is to be predicted? {table.source} has {show.count(len(table.names), 'column')}:\n"
            f"{columns}{more}\n{reason}; try:\n  {show.command('train', self.data, '--target', guess)}"
        )

    def _options(self, header: bool | None) -> TableOptions:
        given = self.given
        validation = given["validation"]
        if isinstance(validation, str):
            validation = read_table(validation, header)
        return TableOptions(
            task=given["task"],
            validation=validation,
            test=None if given["test_file"] is None else read_table(given["test_file"], header),
            drop=given["drop"],
            hidden=given["hidden"],
            activation=given["activation"],
            dropout=given["dropout"],
            optimizer=given["optimizer"],
            learning_rate=given["lr"],
            schedule=given["schedule"],
            batch_size=given["batch"],
            epochs=given["epochs"],
            patience=given["patience"],
            class_weight=given["class_weight"],
            weight_column=given["weight_column"],
            init=None if given["init_model"] is None else _table_model(given["init_model"]),
            seed=given["seed"],
            shards=given["shards"],
        )

    def _show_data(self, table: Table, prepared: Prepared) -> None:
        parts = {name: len(part) for name, part in prepared.parts.items()}
        used = prepared.encoder.source_columns
        kinds = train_text.kinds(prepared)
        counts = {name: int(is_missing(table.column(name)).sum()) for name in used}
        missing = [f"{name} {number:,}" for name, number in counts.items() if number]
        left_out = [info.reason for info in prepared.infos if not info.used]
        left_out += [f"{name!r} is left out: the training rows have one value." for name in prepared.encoder.dropped]
        told = [info.reason for info in prepared.infos if info.used and info.reason]
        how = "from the test file" if self.given["test_file"] else "set aside"
        rows = [
            ("data", f"{table.source}: {show.count(len(table), 'row')}, {show.count(len(table.names), 'column')}"),
            ("target", f"{prepared.target}: {train_text.describe_target(prepared)}"),
            ("task", f"{prepared.task} ({prepared.task_reason})"),
            ("inputs", kinds),
        ]
        if missing:
            rows.append(("missing", ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")))
        rows += [("", text) for text in (left_out + told)[:12]]
        if len(left_out + told) > 12:
            rows.append(("", f"… and {len(left_out + told) - 12} more columns"))
        rows.append(
            (
                "rows",
                f"{parts['training']:,} training, {parts['validation']:,} validation, {parts['test']:,} test ({how})",
            )
        )
        rows += [("note", notice) for notice in prepared.notices[:12]]
        show.print_listing(self.console, rows)

    def _show_network(self, prepared: Prepared, options: TableOptions) -> None:
        if self.silent:
            return
        network = make_network(prepared, options)
        loss = "cross_entropy" if prepared.task == "classification" else "mse"
        parameters = sum(p.size for p in network.parameters().values())
        recipe = prepared.recipe
        epoch = seconds_per_epoch(prepared, network, loss)
        x, _ = prepared.matrices["training"]
        batch: int | str = recipe.batch_size
        if isinstance(batch, int) and batch > len(x):
            batch = len(x)
            if options.batch_size is not None:
                self.console.print(f"note: the batch of {options.batch_size} was cut to the {len(x)} training rows")
        batch_text = "all rows" if batch == "all" else show.count(int(batch), "row")
        weights = show.size(parameters * 4 * 4)  # weight, gradient and two moments, float32
        show.print_listing(
            self.console,
            [
                ("network", network.describe()),
                (
                    "",
                    f"{parameters:,} parameters; {weights} with gradients and moments; data {show.size(x.nbytes)}",
                ),
                (
                    "training",
                    f"{loss}, {recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule}), "
                    f"{batch_text} per step",
                ),
                (
                    "",
                    f"{show.count(recipe.epochs, 'epoch')}, about {show.duration(epoch)} each: "
                    f"{show.duration(epoch * recipe.epochs)} in all; Ctrl-C stops and keeps the best",
                ),
            ],
        )

    def _choose_folder(self) -> Path:
        if self.given["out"] is not None:
            return Path(self.given["out"])
        stem = Path(self.data).name.split(".")[0] or "run"
        number = 1
        while (folder := Path("runs") / f"{stem}-{number}").exists():
            number += 1
        return folder

    def _finish(self, result: TableRun) -> None:
        """Write the report, say how it ended, and what to type next."""
        from fallline.report.table_report import write_table_report

        run, prepared = result.run, result.prepared
        folder = self.folder
        notes = [*prepared.notices, *(info.reason for info in prepared.infos if info.reason)]
        report = write_table_report(folder / "report.html", result, notes)
        why = STOPPED.get(run.stopped, run.stopped).format(patience=self.given["patience"])
        kept = "" if run.best_epoch is None else f"; the weights of epoch {run.best_epoch + 1} were kept"
        metric = prepared.metric
        rows = [
            ("trained", f"{show.count(run.epochs, 'epoch')} in {show.duration(run.seconds)}: {why}{kept}"),
            ("test", train_text.score_line(result.scores, len(prepared.parts["test"]), train_text.baseline(prepared))),
            ("validation", f"{metric} {show.metric_value(metric, result.validation_scores[metric])}"),
            ("model", str(folder / "model.safetensors")),
            ("report", str(report)),
            ("run", str(folder)),
        ]
        if run.problem:
            click.echo(f"error: {run.problem}", err=True)
        show.print_listing(self.console, rows)
        model = folder / "model.safetensors"
        show.print_next(self.console, "predict", model, self.data)


def _table_model(path: str) -> TableModel:
    from fallline.cli.predict import model_path

    model = load(model_path(path))
    if not isinstance(model, TableModel):
        raise ArgumentError(f"{path!r} is a network without encoders; --init needs a model made by `fallline train`")
    return model


def _parameters(model: TableModel) -> int:
    return sum(parameter.size for parameter in model.network.parameters().values())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")


def _words(data: str, given: Mapping[str, Any]) -> list[str]:
    """The options of this call, to run it again."""
    names = {"test_file": "test", "init_model": "init"}
    words = [data]
    for key, value in given.items():
        option = f"--{names.get(key, key).replace('_', '-')}"
        if key in ("quiet", "as_json", "out") or value in (None, False, ()):
            continue
        if value is True:
            words.append(option)
        elif key == "drop":
            words += [part for name in value for part in (option, name)]
        elif key == "hidden":
            words += [option, ",".join(map(str, value)) or "none"]
        elif (key, value) not in (("task", "auto"), ("validation", 0.2), ("seed", 0), ("shards", 1)):
            words += [option, str(value)]
    return words
