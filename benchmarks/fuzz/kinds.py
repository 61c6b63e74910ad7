"""Each kind of file that Fallline reads: its good files, what is done to them, and what they are given to.

Another kind of file is one more entry here, and a good file of it in `samples.py`.
"""

from dataclasses import dataclass

from benchmarks.fuzz import readers, run_readers
from benchmarks.fuzz.mutate import BINARY, TEXT, Mutator
from benchmarks.fuzz.mutate_files import (
    hostile_npy,
    inside_graph,
    inside_gzip,
    inside_idx,
    inside_metadata,
    inside_npy,
    inside_tensors,
    inside_zip,
    not_numbers,
)
from benchmarks.fuzz.mutate_json import hostile_json
from benchmarks.fuzz.mutate_runs import emptied, gone, inside_part, inside_training_graph, sealed, swapped, untouched
from benchmarks.fuzz.readers import Reader
from benchmarks.fuzz.run_samples import OTHER, STOPPED
from benchmarks.fuzz.samples import CODE, MODEL, NETWORK


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        files: names of good files in the folder of samples; the mutant keeps the name's ending.
        mutators: of its content; splicing with other kinds is added for all.
        readers: what it is given to, in turn.
        rarely: a reader that takes long, and the number of mutants of which one is given to it.
        weight: its share of a campaign, relative to the others.
    """

    files: tuple[str, ...]
    mutators: tuple[Mutator, ...]
    readers: tuple[Reader, ...]
    rarely: tuple[Reader, int] | None = None
    weight: int = 1


_TABLE = (readers.decide, readers.decide, readers.decide, readers.predict, readers.evaluate)
_ARRAYS = (readers.decide, readers.decide, readers.arrays)
_MODEL = (readers.load_and_predict, readers.load_and_predict, readers.predict_by, readers.evaluate_by)
_TRAIN = (readers.train, 50)
_TENSORS = (*BINARY, inside_tensors, inside_tensors, not_numbers, inside_metadata, inside_metadata, inside_metadata,
            inside_graph, inside_graph)  # fmt: skip
_RUN = (run_readers.resume, run_readers.replay, run_readers.stored)
_SEALED = (run_readers.resume_sealed, run_readers.resume_sealed, run_readers.stored)
_PLACES = (gone, emptied, swapped, swapped)
_PARTS = (inside_part, inside_part, inside_training_graph, inside_metadata)
_CHECKPOINT = (*BINARY, inside_tensors, inside_tensors, not_numbers, *_PARTS, *_PLACES)
_LAST = f"{STOPPED}/checkpoints/step-000000010.safetensors"

KINDS: dict[str, Kind] = {
    "csv": Kind(("shop.csv",), TEXT, (*_TABLE, readers.check), _TRAIN, weight=3),
    "tsv": Kind(("shop.tsv",), TEXT, _TABLE, _TRAIN),
    "json lines": Kind(("shop.jsonl", "shop.json"), (*TEXT, *(hostile_json,) * 8), _TABLE, _TRAIN, weight=2),
    "parquet": Kind(("shop.parquet",), BINARY, _TABLE, _TRAIN, weight=2),
    "arrow": Kind(("shop.feather", "shop.arrow"), BINARY, _TABLE, _TRAIN, weight=2),
    "npz": Kind(("x.npz", "columns.npz"), (*BINARY, *(inside_zip,) * 6), _ARRAYS, _TRAIN),
    "npy": Kind(("x.npy", "fields.npy"), (*BINARY, *(inside_npy,) * 5, hostile_npy), _ARRAYS, _TRAIN),
    "idx": Kind(("images-idx3-ubyte", "labels-idx1-ubyte"), (*BINARY, *(inside_idx,) * 4), _ARRAYS, _TRAIN),
    "gz": Kind(
        ("shop.csv.gz", "shop.jsonl.gz", "x.npz.gz", "shop.parquet.gz", "images-idx3-ubyte.gz"),
        (*BINARY, inside_gzip(TEXT), inside_gzip(BINARY)),
        _TABLE,
        _TRAIN,
    ),
    "model of a table": Kind((MODEL,), _TENSORS, (*_MODEL, readers.check_by), (readers.train_from, 20), weight=4),
    "network": Kind((NETWORK,), _TENSORS, (*_MODEL[:2], readers.load_into), weight=3),
    "run": Kind(("run/run.json", "run/history.jsonl"), (*TEXT, *(hostile_json,) * 12), (readers.runs,)),
    "settings of a run": Kind((f"{STOPPED}/run.json",), (*TEXT, *(hostile_json,) * 12, *_PLACES), _RUN, weight=2),
    "start of a run": Kind((f"{STOPPED}/start.safetensors",), _CHECKPOINT, _RUN, weight=2),
    "checkpoint": Kind((_LAST,), _CHECKPOINT, _RUN, weight=2),
    "start with the right hash": Kind((f"{STOPPED}/start.safetensors",), tuple(map(sealed, _PARTS)), _SEALED, weight=2),
    "checkpoint with the right hash": Kind((_LAST,), tuple(map(sealed, _PARTS[:2])), _SEALED, weight=2),
    "history and losses of a run": Kind(
        (f"{STOPPED}/history.jsonl", f"{STOPPED}/losses.f64", f"{STOPPED}/losses.f64"), (*BINARY, *_PLACES), _RUN
    ),
    "another run's file": Kind(
        tuple(
            f"{OTHER}/{name}"
            for name in (
                "run.json",
                "start.safetensors",
                "history.jsonl",
                "losses.f64",
                "checkpoints/step-000000016.safetensors",
            )
        ),
        (untouched,),
        _RUN,
    ),
    "object code": Kind((CODE,), BINARY, (readers.object_code,)),
}
