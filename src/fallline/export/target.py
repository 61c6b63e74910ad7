"""From a network's outputs to what a model of a table says: labels with probabilities, or values in their units."""

import numpy as np

from fallline.data.targets import ClassTarget, NumberTarget, class_array
from fallline.export.writer import GraphWriter, Port


def target_ports(target: ClassTarget | NumberTarget) -> list[Port]:
    """The outputs of a model of a table."""
    if isinstance(target, NumberTarget):
        return [Port("prediction", "float64", (), f"{target.name}, in its units")]
    labels = class_array(target.classes)
    dtype = "str" if labels.dtype == object else str(labels.dtype)
    return [
        Port("label", dtype, (), f"{target.name}: the class of the largest probability"),
        Port("probabilities", "float32", (len(labels),), "of each class, in the order of `classes` in the metadata"),
    ]


def write_target(writer: GraphWriter, target: ClassTarget | NumberTarget, outputs: str) -> None:
    """The nodes after the network, whose ONNX value `outputs` is (rows, classes) or (rows, 1)."""
    wide = writer.cast(outputs, "float64")
    if isinstance(target, NumberTarget):
        _write_value(writer, target, wide)
        return
    writer.cast(writer.add("Softmax", wide, axis=-1), "float32", result="probabilities")
    code = writer.add("ArgMax", outputs, axis=-1, keepdims=0)
    writer.add("Gather", writer.constant(class_array(target.classes), "classes"), code, result="label")


def _write_value(writer: GraphWriter, target: NumberTarget, wide: str) -> None:
    """t·deviation + mean, or e to the power of it, within the target's bounds."""
    flat = writer.add("Reshape", wide, writer.whole(-1))
    scaled = writer.add("Mul", flat, writer.constant(np.float64(target.deviation)))
    value = writer.add("Add", scaled, writer.constant(np.float64(target.mean)))
    if target.log:
        value = writer.add("Exp", value)
    largest = float(np.finfo(np.float64).max)
    low = -largest if target.low is None else target.low
    high = largest if target.high is None else target.high
    bounds = (writer.constant(np.float64(bound)) for bound in (low, high))
    writer.add("Clip", value, *bounds, result="prediction")
