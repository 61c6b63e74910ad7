"""What `fallline train` does and shows, step by step."""

import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.text import Text

from fallline.cli import show, train_text
from fallline.cli.reading import Reading
from fallline.cli.train_checks import require_new, require_step
from fallline.data.encoded import head_table
from fallline.data.image_files import find_images
from fallline.data.many_files import files_of
from fallline.data.samples import sample_names
from fallline.data.sources import is_mapped
from fallline.data.table import Table
from fallline.errors import ArgumentError, CompileError
from fallline.tables.again import began_with, given_of_run, header_of, table_of_run, table_options, to_store
from fallline.tables.columns import guess_target
from fallline.tables.model import TableModel, load
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.selection import WHOLE, Selection, on_all_rows, selects
from fallline.tables.train import (
    TableRun,
    make_optimizer,
    plan_table,
    require_settings,
    settle_rate,
    train_table,
    training_loss,
)
from fallline.training.callbacks import Callback
from fallline.training.observers import Observer
from fallline.training.plan import Plan
from fallline.training.progress import ProgressView, Silent, Terminal
from fallline.training.run_folder import COLUMNS, RUN, SELECTION, START
from fallline.training.run_reader import StoredRun

OFF = {"refit": "--no-refit", "mapped": "--in-memory"}
"""Options that are one of two, and what the second is called."""
STOPPED = {
    "epochs": "all epochs are done",
    "patience": "the validation loss has not fallen for {patience} epochs",
    "converged": "the loss no longer falls",
    "nan": "the loss is no longer a number",
    "interrupted": "you interrupted it",
}

RUNS = "runs"
USUAL = (
    ("task", "auto"), ("validation", 0.2), ("target_scale", "auto"), ("recipe", "auto"), ("seed", 0), ("shards", 1),
)  # fmt: skip


class TrainJob:
    """One call of `fallline train`."""

    def __init__(self, data: str, given: Mapping[str, Any], again: StoredRun | None = None) -> None:
        self.data, self.given, self.again = data, given, again
        self.silent = bool(given["quiet"] or given["as_json"])
        self.console = show.console(self.silent)
        self.folder = self.place = self._choose_folder()
        self.planned: Plan | None = None
        self.branch: dict[str, Any] | None = None
        self.reads = False  # whether this call has made the run's columns
        self.command = show.command("train", *_words(data, given))

    @classmethod
    def resumed(cls, folder: str, given: Mapping[str, Any]) -> "TrainJob":
        """The job that goes on with a run: its data and options come from its folder, how to show it from the call."""
        place = Path(folder)
        if not (place / RUN).exists() and (place / SELECTION / RUN).exists():
            place = place / SELECTION  # it ended before its second training
        stored = StoredRun(place, "train --resume")
        stored.require_contract()
        data, known = given_of_run(stored)
        shown = {name: given[name] for name in ("quiet", "as_json", "profile", "lab", "observe")}
        threads = given["threads"] or known["threads"]
        return cls(data, {**known, **shown, "threads": threads, "out": stored.path}, stored)

    @classmethod
    def branched(
        cls, folder: str, new: Path, step: int | None, given: Mapping[str, Any], changed: list[str]
    ) -> "TrainJob":
        """The job that leaves a run after some step, for a new one in which some options are changed."""
        job = cls.resumed(folder, given)
        if job.again is not None and step is not None:
            require_step(job.again, step)
        changes = {name: given[name] for name in changed}
        job.folder, job.given, job.branch = new, {**job.given, **changes}, {"step": step, **changes}
        words = [part for name in changed for part in (f"--{name}", str(given[name]))]
        after = [] if step is None else ["--step", str(step)]
        job.command = show.command("train", "--resume", folder, "--branch", str(new), *after, *words)
        return job

    def run_with_lab(self) -> TableRun:
        """The same with the lab beside it, which stays after the training until Ctrl-C where somebody reads of it."""
        from fallline.cli.train_lab import LabBeside

        with LabBeside(self.folder.parent if self.folder.parent.name == RUNS else self.folder) as lab:
            if self.silent:
                click.echo(lab.address, err=True)
            show.print_listing(self.console, [("lab", lab.address)])
            result = self.run()
            if not self.silent and result.run.signal is None:
                show.print_listing(self.console, [("lab", "the page stays open until Ctrl-C")])
                with suppress(KeyboardInterrupt):
                    lab.wait()
        return result

    def run(self) -> TableRun:
        """Read, decide, train, score, report."""
        try:
            return self._run()
        except BaseException as stop:
            begun = (self.place / START).exists()
            if isinstance(stop, KeyboardInterrupt) and begun:
                stop.add_note(f"to go on: {show.command('train', '--resume', str(self.folder))}")
            if self.reads and not begun:
                shutil.rmtree(self.folder / COLUMNS, ignore_errors=True)
                with suppress(OSError):  # a folder that holds something else stays
                    self.folder.rmdir()
            raise

    def _run(self) -> TableRun:
        if self.again is None or self.branch is not None:
            require_new(self.folder, "--out" if self.branch is None else "--branch")
        init = self._init()
        table = self._table(init)
        target = self._target(table)
        options = table_options(self.given, init, table)
        for further in (options.test, options.validation):
            if isinstance(further, Table) and further.layout is not None and further.layout.no_labels:
                further.column(target)  # says where the labels belong
        busy = table.mapped and self.console.is_terminal and not self.silent
        with self.console.status("splitting and encoding the rows") if busy else nullcontext():
            prepared = prepare(table, target, options)
        require_settings(prepared, options)
        settle_rate(prepared, options)
        self._settle_place(prepared, options)
        if not self.silent:
            self._show(table, prepared, options)
        else:
            self.planned = plan_table(prepared, options)  # the report tells it
        known = None if self.again is None or self.branch is not None else self.again.made_by
        about = self._about(prepared) if known is None else dict(known)
        result = train_table(
            prepared, options, folder=self.place, about=about, progress=self._view(), again=self.again,
            branch=self._changes(prepared), callbacks=self._watchers(),
        )  # fmt: skip
        if self.place != self.folder and result.run.stopped in WHOLE:
            result = self._on_all_rows(result, options)
        self._finish(result)
        return result

    def _table(self, init: TableModel | None) -> Table:
        """The data; of very large ones, the first rows tell at once whether the options fit."""
        header, names = header_of(self.given), self.data
        files = [] if names in sample_names() or find_images(names) is not None else files_of(names)
        if not files or not is_mapped(files, self.given["mapped"]):
            with self.console.status(Text(f"reading {names}")):  # thousands of images take a while
                return table_of_run(self.folder, names, {**self.given, "mapped": False}, init)
        head = head_table(files, names, header)
        self._target(head)
        for name in (*self.given["drop"], self.given["weight_column"], self.given["time_column"]):
            if name is not None:
                head.resolve_column(name)
        run = self.folder if self.again is None else self.again.path
        self.reads = self.again is None
        with Reading(self.console if self.console.is_terminal and not self.silent else None) as reading:
            return table_of_run(run, names, {**self.given, "mapped": True}, init, reading.told)

    def _on_all_rows(self, first: TableRun, options: TableOptions) -> TableRun:
        """The second training, in the run's own folder."""
        started = time.perf_counter()
        prepared, options = on_all_rows(first, options, self._view())
        if prepared.selection is not None:
            show.print_listing(self.console, [("rows", prepared.selection.told())])
        self.place = self.folder
        self.planned = plan_table(prepared, options)
        about = self._about(prepared)
        result = train_table(
            prepared, options, folder=self.folder, about=about, progress=self._view(), callbacks=self._watchers()
        )
        return replace(result, seconds=first.seconds + time.perf_counter() - started)

    def _watchers(self) -> tuple[Callback, ...]:
        """Who looks at a training for the lab."""
        return (Observer(),) if self.given.get("lab") or self.given.get("observe") else ()

    def _view(self) -> ProgressView:
        """What is seen of a training in progress."""
        return Silent() if self.silent or not self.console.is_terminal else Terminal()

    def _settle_place(self, prepared: Prepared, options: TableOptions) -> None:
        """Find where this training is written to: one that only chooses the number of epochs has a folder of its own.

        Of a run that goes on, what was found before it is told again.
        """
        if self.branch is not None:
            self.place = self.folder
        elif self.again is None:
            self.place = self.folder / SELECTION if selects(prepared, options) else self.folder
        elif self.again.path.name == SELECTION and selects(prepared, options):
            self.place, self.folder = self.again.path, self.again.path.parent
        else:
            prepared.selection = Selection.of_run(self.again)

    def _changes(self, prepared: Prepared) -> dict[str, Any] | None:
        """What a branch does differently, as `fl.resume` takes it."""
        if self.branch is None:
            return None
        changes = {name: value for name, value in self.branch.items() if name != "lr"} | {"patience": prepared.patience}
        return changes | ({"optimizer": make_optimizer(prepared.recipe)} if "lr" in self.branch else {})

    def exit_code(self, result: TableRun) -> int:
        """0; 128 + the signal's number when interrupted; 2 when the loss became NaN."""
        if result.run.stopped == "interrupted":
            return 128 + (result.run.signal or signal.SIGINT)  # no signal: somebody asked for it in the lab
        return 2 if result.run.stopped == "nan" else 0

    def summary(self, result: TableRun) -> dict[str, Any]:
        """The line of `--json`."""
        prepared, folder = result.prepared, self.place
        parts = prepared.parts
        return {
            "task": prepared.task,
            "metric": prepared.metric,
            "score": _finite(result.scores[prepared.metric]),
            "validation_score": _finite(result.validation_scores.get(prepared.metric, np.nan)),
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
        if table.layout is not None and (table.default_target is not None or table.layout.no_labels):
            name = table.default_target or table.layout.labels
            table.column(name)  # says where the labels belong
            return name
        guess, reason = guess_target(table)
        columns = "\n".join(f"  {i:>3}  {name}" for i, name in enumerate(table.names[:60], start=1))
        more = f"\n       … and {len(table.names) - 60} more" if len(table.names) > 60 else ""
        raise ArgumentError(
            f"which column is to be predicted? {table.source} has {show.count(len(table.names), 'column')}:\n"
            f"{columns}{more}\n{reason}; try:\n  {show.command('train', self.data, '--target', guess)}"
        )

    def _about(self, prepared: Prepared) -> dict[str, Any]:
        """What run.json and the model file say of where they come from.

        The learning rate is the number that was trained with, whatever a branch changes later; a training that only
        chooses the number of epochs has what was asked for, which decides what else is tried.
        """
        given, found = dict(self.given), prepared.selection
        if prepared.rate_trial or self.place == self.folder:
            given["lr"] = prepared.recipe.learning_rate
        if found is not None:
            given |= {"validation": None, "epochs": found.epochs, "patience": None, "refit": False}
            given |= {"recipe": found.recipe} if found.losses else {}
        return {
            "data": self.data,
            "target": prepared.target,
            "task": prepared.task,
            "created": _now(),
            "command": self.command,
            **({"rate_trial": prepared.rate_trial.to_json()} if prepared.rate_trial else {}),
            **({SELECTION: found.to_json()} if found else {}),
            **to_store(self.data, given),
        }

    def _init(self) -> TableModel | None:
        """The model that training starts from."""
        if self.again is not None:
            return None if self.given["init_model"] is None else began_with(self.again)
        return None if self.given["init_model"] is None else _table_model(self.given["init_model"])

    def _show(self, table: Table, prepared: Prepared, options: TableOptions) -> None:
        """What was understood, and what is about to happen."""
        lines, over = train_text.data_lines(table, prepared, self.given["test_file"] is not None), 0
        if self.again is not None:
            step = None if self.branch is None else self.branch["step"]
            where, over = train_text.goes_on(self.again, None if self.branch is None else self.folder, step)
            lines = [("run", where), lines[0]]  # the rest was told when it began
        show.print_listing(self.console, lines)
        self.planned = plan_table(prepared, options)
        if over < prepared.recipe.epochs:
            show.print_listing(self.console, train_text.network_lines(prepared, self.planned, over))

    def _choose_folder(self) -> Path:
        if self.given["out"] is not None:
            return Path(self.given["out"])
        stem = Path(self.data).name.split(".")[0] or "run"
        number = 1
        while (folder := Path(RUNS) / f"{stem}-{number}").exists():
            number += 1
        return folder

    def _finish(self, result: TableRun) -> None:
        """Write the report, say how it ended, and what to type next."""
        from fallline.report.table_report import write_table_report

        run, prepared = result.run, result.prepared
        stopped = run.stopped == "interrupted"
        images = prepared.encoder.images is not None
        lines = train_text.report_commands(self.command, self.data, self.given, self.place, stopped, images)
        report = write_table_report(self.place / "report.html", result, lines, self.planned)
        why = STOPPED.get(run.stopped, run.stopped).format(patience=prepared.patience)
        kept = "" if run.best_epoch is None else f"; the weights of epoch {run.best_epoch + 1} were kept"
        metric, model = prepared.metric, self.place / "model.safetensors"
        seen = result.validation_scores.get(metric)
        test = train_text.score_line(result.scores, len(prepared.parts["test"]), train_text.baseline(prepared))
        rows = [
            ("trained", f"{train_text.trained(prepared, self.planned, run)}: {why}{kept}"),
            ("test", test),
            ("validation", "none" if seen is None else f"{show.metric_name(metric)} {show.metric_value(metric, seen)}"),
            ("model", str(model)),
            ("report", str(report)),
            ("run", str(self.place)),
        ]
        failed = run.stopped == "nan" and run.best_epoch is None
        show.print_listing(self.console, [row for row in rows if not (failed and row[0] in ("test", "validation"))])
        if self.given["profile"] and not self.silent:
            self._show_profile(result)
        if run.stopped == "nan" and self.branch is None:
            slower = {**self.given, "lr": f"{prepared.recipe.learning_rate / 10:g}"}
            words = ["train", *_words(self.data, slower)]
        elif run.stopped == "interrupted":
            words = ["train", "--resume", str(self.folder)]
        else:
            words = ["predict", str(model), self.data, *(["--no-header"] if self.given["no_header"] else [])]
        show.print_next(self.console, *words)

    def _show_profile(self, result: TableRun) -> None:
        """What each kernel of a training step takes."""
        from fallline.insight.profile import profile

        prepared, recipe = result.prepared, result.prepared.recipe
        x, y = prepared.matrices["training"]
        try:
            found = profile(
                result.model.network,
                x,
                y,
                loss=training_loss(prepared),
                optimizer=make_optimizer(recipe),
                batch_size=recipe.batch_size,
                sample_weight=prepared.weights,
                class_weight=self.given["class_weight"],
                shards=self.given["shards"],
                threads=self.given["threads"],
            )
        except (ArgumentError, CompileError) as reason:  # the training is done; its end is not an error
            show.print_listing(self.console, [("profile", f"none: {reason}")])
            return
        show.print_table(self.console, "profile", str(found))


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
        hidden = ("quiet", "as_json", "profile", "lab", "observe", "out")
        if key in hidden or value is None or (value is False and key not in OFF):
            continue
        if key in OFF:
            words.append(option if value else OFF[key])
        elif value is True:
            words.append(option)
        elif key == "drop":
            words += [part for name in value for part in (option, name)]
        elif key == "hidden":
            words += [option, ",".join(map(str, value)) or "none"]
        elif key == "image_size":
            words += [option, "x".join(map(str, value))]
        elif (key, value) not in USUAL:
            words += [option, str(value)]
    return words
