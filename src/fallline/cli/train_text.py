"""What `fallline train` says about the data and the score."""

from collections.abc import Mapping

import numpy as np

from fallline.cli import show
from fallline.data.spelling import distinct
from fallline.data.targets import ClassTarget
from fallline.tables.prepare import Prepared


def kinds(prepared: Prepared) -> str:
    """The input columns by kind."""
    used = [info for info in prepared.infos if info.used and info.name not in prepared.encoder.dropped]
    named = {"number": "number", "category": "category", "boolean": "truth value", "date": "date"}
    counted = {kind: [info.name for info in used if info.kind == kind] for kind in named}
    texts = []
    for kind, names in counted.items():
        if names:
            shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            plural = "categories" if kind == "category" else f"{named[kind]}s"
            texts.append(f"{show.count(len(names), named[kind], plural)} ({shown})")
    return "; ".join(texts)


def describe_target(prepared: Prepared) -> str:
    """The classes with their counts, or the range of values."""
    values = np.concatenate([part.column(prepared.target) for part in prepared.parts.values()])
    if isinstance(prepared.codec, ClassTarget):
        labels, codes = distinct(values)
        counts = np.bincount(codes[codes >= 0], minlength=len(labels))
        order = np.argsort(-counts, kind="stable")
        shown = ", ".join(f"{labels[i]} {counts[i]:,}" for i in order[:8])
        return shown + (f", … ({len(labels)} classes)" if len(labels) > 8 else "")
    numbers = values.astype(np.float64)
    return f"from {numbers.min():g} to {numbers.max():g}, mean {numbers.mean():.6g}"


def baseline(prepared: Prepared) -> str:
    """What the simplest answer would score on the test rows."""
    codec, target = prepared.codec, prepared.target
    training, test = (prepared.parts[name].column(target) for name in ("training", "test"))
    if isinstance(codec, ClassTarget):
        common = int(np.bincount(codec.encode(training)).argmax())
        share = float(np.mean(codec.encode(test) == common))
        return f"always {codec.classes[common]!r} would give {100 * share:.1f} %"
    error = float(np.sqrt(np.mean((test.astype(np.float64) - codec.mean) ** 2)))
    return f"always the mean would give {show.metric_value('rmse', error)}"


def score_line(scores: Mapping[str, float], rows: int, baseline: str) -> str:
    """All metrics on the test rows, beside what the simplest answer would reach."""
    shown = ", ".join(f"{name.replace('_', ' ')} {show.metric_value(name, value)}" for name, value in scores.items())
    return f"{shown} on {show.count(rows, 'row')}; {baseline}"
