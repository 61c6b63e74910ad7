"""`make demo`: the main job on a real table, and a look inside.

Trains a network on the Palmer penguins, scores it, predicts five raw rows, draws the two pictures of this
very run, and takes one weight's first gradient and update apart.
"""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
RUN = Path("demo") / "run"
TARGET = "species"
TRAINING = ("--optimizer", "sgd", "--lr", "0.1", "--schedule", "constant", "--dropout", "0")
WEIGHT_LAYER = "first.weight"


def program() -> str:
    """The installed command, as a person in the checkout would type it."""
    return str(Path(sys.executable).parent.relative_to(ROOT) / "fallline") if _inside() else "fallline"


def _inside() -> bool:
    return Path(sys.executable).parent.is_relative_to(ROOT)


def fallline(*words: str) -> None:
    """Show a command line and run it in the checkout."""
    line = [program(), *words]
    print(f"\n$ {' '.join(line)}", flush=True)
    result = subprocess.run(line, cwd=ROOT)
    if result.returncode:
        sys.exit(result.returncode)


def five_rows() -> None:
    """Five raw rows of the table, one of them with missing values, without their species."""
    from fallline.data.sources import read_table

    table = read_table("penguins")
    chosen = [0, 3, 152, 220, 300]
    names = [name for name in table.names if name != TARGET]
    with (DEMO / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in chosen:
            cells = [table.column(name)[row] for name in names]
            writer.writerow(["" if cell is None or cell != cell else cell for cell in cells])
    print("\nfive raw rows, as they are in the file (the second has no measurements at all):")
    print((DEMO / "rows.csv").read_text(encoding="utf-8").rstrip())
    print("their true species: " + ", ".join(str(table.column(TARGET)[row]) for row in chosen))


def look_inside() -> None:
    """The two pictures of this run, and one weight's gradient and update at its first step."""
    from fallline.data.batches import batch_order
    from fallline.data.sources import read_table
    from fallline.insight.explain import explain
    from fallline.optim import SGD
    from fallline.report.backward_flow import backward_picture
    from fallline.report.descent import descent_picture
    from fallline.tables.prepare import TableOptions, prepare
    from fallline.tables.train import make_network, training_loss
    from fallline.training.step import loss_and_gradients

    options = TableOptions(optimizer="sgd", learning_rate=0.1, schedule="constant", dropout=0.0)
    prepared = prepare(read_table("penguins"), TARGET, options)  # the same decisions as the run's, from the same seed
    network = make_network(prepared, options)
    x, y = prepared.matrices["training"]
    first = batch_order(len(x), options.seed, 0)[: int(prepared.recipe.batch_size)]
    optimizer, loss = SGD(lr=0.1), training_loss(prepared)

    backward = backward_picture(network, x[first], y[first], loss, optimizer=optimizer, training=True)
    (DEMO / "backpropagation.svg").write_text(backward, encoding="utf-8")
    (DEMO / "gradient-descent.svg").write_text(descent_picture(network, x, y, loss), encoding="utf-8")

    _, gradients = loss_and_gradients(network, x[first], y[first], loss=loss)
    steepest = abs(gradients[WEIGHT_LAYER]).argmax()
    width = gradients[WEIGHT_LAYER].shape[1]
    weight = f"{WEIGHT_LAYER}[{steepest // width},{steepest % width}]"
    explanation = explain(network, weight, x[first], y[first], loss=loss, optimizer=optimizer)
    feature = prepared.encoder.feature_names[steepest // width]
    print(f"\nThe first step of this run, seen through one weight (from {feature} to a hidden unit):\n")
    print(explanation)
    print("\nTwo pictures of this run:")
    print("  demo/backpropagation.svg   backpropagation: dL/dw flows backwards through every layer")
    print("  demo/gradient-descent.svg  gradient descent: small steps to the minimum, for three learning rates")


def main() -> None:
    """The demonstration, from a clean folder each time."""
    os.chdir(ROOT)
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    print("Train a network on a real table: 344 penguins, four measurements, two categories, missing values.")
    fallline("train", "penguins", "--target", TARGET, *TRAINING, "--out", str(RUN))
    five_rows()
    fallline("predict", str(RUN), "demo/rows.csv", "--proba")
    look_inside()
    print(f"\nThe report is demo/run/report.html. Your own table:  {program()} train FILE --target COLUMN")


if __name__ == "__main__":
    main()
