"""What the reference has: every public name, grouped by what one wants to do, and what comes with it."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

MODULES = {
    "fl": "fallline",
    "nn": "fallline.nn",
    "nn.losses": "fallline.nn.losses",
    "nn.init": "fallline.nn.init",
    "optim": "fallline.optim",
    "fallline.sklearn": "fallline.sklearn",
    "fallline.export": "fallline.export",
}
"""How a module is written in the reference → the module."""


@dataclass(frozen=True)
class Group:
    """A page of the reference.

    Attributes:
        page: its file's name.
        title, lead: what it is about.
        names: what stands on it, as users write it.
    """

    page: str
    title: str
    lead: str
    names: str


GROUPS = (
    Group("training", "Train", "From a network and rows to a trained network, in one call; and what is known before.",
          "fl.fit fl.Run fl.plan fl.evaluate fl.load fl.read_table fl.Callback fl.Observer fl.batch_order "
          "fl.set_threads"),
    Group("backpropagation", "Backpropagation", "dL/dw of a network, and gradients of any function.",
          "fl.loss_and_gradients fl.check_gradients fl.trace fl.grad fl.hvp fl.row_gradient_norms"),
    Group("optimizers", "Gradient descent", "Update rules and clipping: what becomes of a gradient.",
          "optim.Optimizer optim.SGD optim.Adam optim.AdamW optim.RMSprop optim.Adagrad optim.Adadelta optim.NAdam "
          "optim.RAdam optim.Lion optim.by_name optim.from_config optim.clip_by_value optim.clip_by_global_norm "
          "optim.global_norm optim.UpdateRule optim.Hyper optim.Slot optim.RULES"),
    Group("schedules", "Schedules", "How the learning rate changes from step to step.",
          "optim.Schedule optim.Constant optim.StepDecay optim.ExponentialDecay optim.Cosine optim.CosineRestarts "
          "optim.OneCycle optim.Warmup optim.ReduceOnPlateau optim.SCHEDULES"),
    Group("layers", "Layers and activations", "The parts of a network. Shapes are (rows, …).",
          "nn.Module nn.Parameter nn.Buffer nn.Sequential nn.Linear nn.Embedding nn.EmbeddingBag nn.Dropout nn.Flatten "
          "nn.BatchNorm nn.LayerNorm nn.Identity nn.ReLU nn.LeakyReLU nn.Tanh nn.Sigmoid nn.Softplus nn.GELU nn.SiLU "
          "nn.SELU nn.Mish"),
    Group("losses", "Losses", "How wrong the outputs are: a number for each row, and their mean.",
          "nn.losses.Loss nn.losses.MeanSquaredError nn.losses.MeanAbsoluteError nn.losses.Huber "
          "nn.losses.BinaryCrossEntropy nn.losses.CrossEntropy nn.losses.Poisson nn.losses.Hinge "
          "nn.losses.FunctionLoss nn.losses.Ensemble nn.losses.get nn.losses.config nn.losses.from_config"),
    Group("initialisers", "Initial weights", "What weights are before the first step: functions of seed and name.",
          "nn.init.Initializer nn.init.Constant nn.init.Uniform nn.init.Normal nn.init.VarianceScaling "
          "nn.init.Orthogonal nn.init.fans nn.init.get"),
    Group("functions", "Functions of tensors", "For networks and losses of your own. Each takes symbolic tensors, and "
          "arrays or numbers, of which it gives an array.",
          "fl.Tensor fl.exp fl.expm1 fl.log fl.log1p fl.sqrt fl.absolute fl.sign fl.erf fl.tanh fl.sigmoid fl.softplus "
          "fl.relu fl.clip fl.maximum fl.minimum fl.where fl.sum fl.mean fl.max fl.logsumexp fl.softmax "
          "fl.log_softmax fl.matmul fl.transpose fl.reshape fl.broadcast fl.concatenate fl.stack fl.take fl.one_hot "
          "fl.cast fl.stop_gradient"),
    Group("runs", "Runs", "Go on with a run, look at any past step, compare.",
          "fl.resume fl.replay fl.diff fl.verify"),
    Group("insight", "Look inside", "Where a gradient comes from, which rows matter, where the time goes, pictures.",
          "fl.explain fl.suspects fl.leave_out fl.profile fl.plot_backprop fl.plot_landscape"),
    Group("sklearn", "scikit-learn", "Estimators; they come with `fallline[sklearn]`.",
          "fallline.sklearn.MLPClassifier fallline.sklearn.MLPRegressor fallline.sklearn.TableClassifier "
          "fallline.sklearn.TableRegressor"),
    Group("export", "ONNX", "Models as files for other programs; comes with `fallline[onnx]`.",
          "fl.export_onnx fallline.export.onnx_inputs fallline.export.OnnxExport"),
    Group("errors", "Errors", "What Fallline raises on purpose: a sentence that says what was asked, what was needed, "
          "what was found and what to do.",
          "fl.FalllineError fl.ArgumentError fl.ShapeError fl.KindError fl.DataError fl.ModelFileError "
          "fl.RunFolderError fl.MissingExtraError fl.GraphError"),
)  # fmt: skip
NAMES = frozenset(name for group in GROUPS for name in group.names.split())
GIVEN = {"fl.load": ["fallline.tables.model.TableModel", "fallline.nn.model_file.StoredNetwork"]}
"""What a function gives back that its annotation does not tell."""


def public_names() -> set[str]:
    """Every public name, as users write it."""
    found = set()
    for written, module in MODULES.items():
        room = import_module(module)
        names = getattr(room, "__all__", None) or [
            name
            for name, value in vars(room).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == module
        ]
        found |= {f"{written}.{name}" for name in names if not inspect.ismodule(getattr(room, name))}
    # one thing has one place: fallline.export_onnx is fallline.export's, too
    return found - {"fallline.export.export_onnx"}


def thing(name: str) -> Any:
    """What a name of the reference stands for."""
    written, _, last = name.rpartition(".")
    return getattr(import_module(MODULES[written]), last)


def given_back(name: str) -> list[type]:
    """The classes of this project that a function gives back and that have no public name of their own."""
    value = thing(name)
    if not inspect.isfunction(value):
        return []
    hinted = get_type_hints(value).get("return")
    classes = [hinted] if inspect.isclass(hinted) else []
    for path in GIVEN.get(name, []):
        module, _, last = path.rpartition(".")
        classes.append(getattr(import_module(module), last))
    own = [each for each in classes if each.__module__.startswith("fallline.")]
    return [each for each in own if public_name(each) == each.__qualname__]


def members(value: type) -> Iterator[tuple[str, Any]]:
    """(name, method or property) of what a class adds to the documented classes it stands on."""
    shown = {thing(name) for name in NAMES if inspect.isclass(thing(name))} - {value}
    seen = set()
    for owner in value.__mro__:
        if owner in shown or not owner.__module__.startswith("fallline"):
            continue
        for name, member in vars(owner).items():
            if name.startswith("_") or name in seen or name in getattr(owner, "__dataclass_fields__", ()):
                continue
            if not member.__doc__ and any(hasattr(base, name) for base in owner.__mro__[1:] if base in shown):
                continue  # told there
            seen.add(name)
            target = getattr(member, "__func__", member)
            if isinstance(member, property) or inspect.isfunction(target):
                yield name, member


def documentation(owner: type, name: str) -> str | None:
    """A member's docstring, or that of the method it takes the place of."""
    return inspect.getdoc(getattr(owner, name))


def public_name(value: type) -> str:
    """A class's public name, or its own."""
    return public_name_of(f"{value.__module__}.{value.__qualname__}")


def public_name_of(path: str) -> str:
    """The public name of the class at a dotted path, or the path's last part."""
    return _public_classes().get(path, path.rpartition(".")[2])


@cache
def _public_classes() -> dict[str, str]:
    """Where a class is defined → its public name."""
    classes = {name: thing(name) for name in sorted(NAMES) if inspect.isclass(thing(name))}
    return {f"{value.__module__}.{value.__qualname__}": name for name, value in classes.items()}
