"""The reference: every public name, grouped by what one wants to do, from its signature and its docstring."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_type_hints

from sphinx.util.inspect import stringify_signature

from docs_site.docstrings import parse
from docs_site.navigation import toctree

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
          "fl.fit fl.Run fl.plan fl.evaluate fl.load fl.Callback fl.Observer fl.batch_order fl.set_threads"),
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
CODE = re.compile(r"(?<![`\[])`((?:fl|nn|optim|fallline)\.[\w.]+)`(?![`\]])")
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


def linked(text: str) -> str:
    """Markdown in which public names that stand as code, such as `fl.fit`, lead to their place in the reference."""
    return CODE.sub(lambda code: f"{{py:obj}}`{code[1]}`" if code[1] in NAMES else code[0], text)


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
    return [each for each in own if _written(each) == each.__qualname__]


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


def pages() -> dict[str, str]:
    """File name → Markdown, the index included."""
    made = {f"{group.page}.md": _page(group) for group in GROUPS}
    made["index.md"] = _index()
    return made


def _index() -> str:
    lines = [
        "# Reference",
        "Written down from the signatures and docstrings of this version. The names are those of\n"
        "`import fallline as fl` and `from fallline import nn, optim`.",
    ]
    for group in GROUPS:
        links = " · ".join(f"{{py:obj}}`{name}`" for name in group.names.split())
        lines += [f"## [{group.title}]({group.page}.md)", group.lead, links]
    return "\n\n".join([*lines, toctree([group.page for group in GROUPS])])


def _page(group: Group) -> str:
    names = group.names.split()
    parts = [f"# {group.title}", group.lead, *(_entry(name) for name in names)]
    given: dict[type, str] = {}
    for name in names:
        for each in given_back(name):
            given.setdefault(each, name)
    if given:
        parts.append("## What these give back")
        for each, name in given.items():
            parts.append(_class(each.__qualname__, each, "", linked(f"What `{name}` gives back.")))
    return "\n\n".join(parts) + "\n"


def _entry(name: str) -> str:
    value = thing(name)
    if inspect.isclass(value):
        return _class(name, value, _signature(value, returns=False))
    if inspect.isroutine(value):
        return _directive("function", name, _signature(value), _told(value.__doc__))
    keys = ", ".join(f"`{key}`" for key in value)
    return _directive("data", name, "", f"Name → what is registered: {keys}.")


def _class(name: str, value: type, signature: str, note: str = "") -> str:
    bases = [linked(f"`{_written(base)}`") for base in value.__bases__ if _written(base) != base.__qualname__]
    parts = [note, _told(value.__doc__), f"A kind of {' and '.join(bases)}." if bases else ""]
    for member, found in members(value):
        text = _told(documentation(value, member))
        if isinstance(found, property):
            parts.append(_directive("property", member, "", text, colons=3))
        else:
            form = "classmethod" if isinstance(found, classmethod) else "method"
            form = "staticmethod" if isinstance(found, staticmethod) else form
            parts.append(_directive(form, member, _signature(getattr(value, member), form == "method"), text, colons=3))
    return _directive("class", name, signature, "\n\n".join(filter(None, parts)), colons=4)


def _told(text: str | None) -> str:
    return linked(parse(text).markdown())


def _directive(form: str, name: str, signature: str, text: str, colons: int = 4) -> str:
    fence = ":" * colons
    return f"{fence}{{py:{form}}} {name}{signature}\n\n{text}\n{fence}"


def _signature(value: Callable[..., Any], method: bool = False, returns: bool = True) -> str:
    try:
        found = inspect.signature(value)
    except ValueError:  # an exception's, which is Python's own
        return ""
    if method:
        found = found.replace(parameters=list(found.parameters.values())[1:])
    text = stringify_signature(found, unqualified_typehints=True, show_return_annotation=returns)
    text = re.sub(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[[^]]*\]\]", "ndarray", text)
    text = re.sub(r"(?<=\w): ~typing\.Any\b(?!\[)| -> ~typing\.Any$", "", text)
    text = re.sub(r"~(fallline\.[\w.]+)", lambda path: _PUBLIC.get(path[1], path[1].rpartition(".")[2]), text)
    return re.sub(r"~(?:\w+\.)*(?=\w)", "", text)


def _written(value: type) -> str:
    """A class's public name, or its own."""
    return _PUBLIC.get(f"{value.__module__}.{value.__qualname__}", value.__qualname__)


_PUBLIC = {
    f"{thing(name).__module__}.{thing(name).__qualname__}": name
    for name in sorted(NAMES)
    if inspect.isclass(thing(name))
}
