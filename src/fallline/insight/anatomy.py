"""The layers of a network as its stored graph tells them: what each is given, what it gives, what it costs.

The graph of a step has all that is needed: parameters are its inputs, so a layer is what shares a parameter's dotted
name, and what lies between two of them (activations, dropout, sums) is told by the ops on the way.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fallline.ir.graph import Graph, Node, topological
from fallline.ir.types import BATCH, SymbolicDim
from fallline.nn.trace import X
from fallline.training.step import GRADIENT, LOSS, LOSS_SCOPE, OUTPUTS

LINEAR, EMBEDDING, SCALE = "linear", "embedding", "scale"
INPUTS = "x"
SHAPING = {"broadcast", "reshape", "cast", "transpose"}
_NAMED = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus", "erf": "GELU"}


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer with parameters.

    Attributes:
        name: its dotted name, such as "0" or "block.inner"; "" is the network itself.
        module: its class's name, or "".
        kind: "linear", "embedding" or "scale".
        parameters: their shapes by dotted name.
        given: the node of what comes in, a row of the batch after the other; None if not so.
        gives: the node of what it gives, likewise.
        sources: the layers whose results reach what comes in with no layer between, or "x".
        then: what its result goes through next, such as ("ReLU", "Dropout"): modules, or ops with a name.
        multiply_adds: of one row, forwards.
        uses: how many times it is applied.
        main: whether it lies on the path that is drawn.
    """

    name: str
    module: str
    kind: str
    parameters: dict[str, tuple[int, ...]]
    given: Node | None
    gives: Node
    sources: tuple[str, ...]
    then: tuple[str, ...]
    multiply_adds: int
    uses: int
    main: bool = False

    @property
    def count(self) -> int:
        """How many weights and biases it has."""
        return sum(math.prod(shape) for shape in self.parameters.values())

    @property
    def weight(self) -> str | None:
        """The parameter that multiplies what comes in, where there is one."""
        names = [name for name, shape in self.parameters.items() if len(shape) > 1]
        return names[0] if names and self.kind != EMBEDDING else None


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The layers of a network, in the order in which data meet them.

    Attributes:
        stages: all of them.
        loss, outputs: nodes of the graph.
    """

    stages: tuple[Stage, ...]
    loss: Node
    outputs: Node

    @property
    def main(self) -> list[Stage]:
        """Those of the path from the inputs to the loss that has the most layers."""
        return [stage for stage in self.stages if stage.main]

    @property
    def carried(self) -> list[Node]:
        """What is handed on along that path: what comes into each of its layers, then the outputs."""
        return [*(stage.given for stage in self.main if stage.given is not None), self.outputs]


def anatomy_of(step: Graph, modules: Mapping[str, str]) -> Anatomy:
    """The layers of a step's graph, from `build_graph(…, backward=True)`.

    Args:
        step: has the outputs "loss" and "gradient of <parameter>".
        modules: dotted name → class's name.
    """
    nodes = topological([step.outputs[LOSS]])
    walk = _Walk(nodes)
    names = [name[len(GRADIENT) :] for name in step.outputs if name.startswith(GRADIENT)]
    groups = walk.groups({name: step.inputs[name] for name in names if name in step.inputs})
    ends = {id(group.gives): group.name for group in groups}
    plain = {name: kind for name, kind in modules.items() if name and not _holds(name, ends.values())}
    stages = []
    outputs = step.outputs.get(OUTPUTS, groups[-1].gives if groups else step.outputs[LOSS])
    for group in groups:
        stages.append(
            Stage(
                name=group.name,
                module=modules.get(group.name, ""),
                kind=group.kind,
                parameters={name: walk.shape(step.inputs[name]) for name in group.parameters},
                given=walk.by_rows_before(group.given),
                gives=walk.by_rows_after(group.gives),
                sources=walk.sources(group.given_nodes, ends, step.inputs.get(X)),
                then=walk.then(group.gives, ends, plain),
                multiply_adds=group.multiply_adds,
                uses=group.uses,
            )
        )
    return Anatomy(_marked(stages, walk.sources([outputs], ends, None)), step.outputs[LOSS], outputs)


@dataclass
class _Group:
    name: str
    parameters: list[str]
    kind: str
    given: Node | None
    given_nodes: list[Node]
    gives: Node
    multiply_adds: int
    uses: int


class _Walk:
    """Ways through the nodes of the forward pass."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.order = {id(node): number for number, node in enumerate(nodes)}
        self.users: dict[int, list[Node]] = {}
        for node in nodes:
            for parent in node.inputs:
                self.users.setdefault(id(parent), []).append(node)

    def groups(self, leaves: Mapping[str, Node]) -> list[_Group]:
        """The parameters by layer, in the order in which data meet them."""
        prefixes: dict[str, list[str]] = {}
        for name, leaf in leaves.items():
            if id(leaf) in self.order:
                prefixes.setdefault(name.rpartition(".")[0], []).append(name)
        made = [self._group(prefix, members, leaves) for prefix, members in prefixes.items()]
        return [group for _, group in sorted(made, key=lambda one: one[0])]

    def _group(self, prefix: str, members: list[str], leaves: Mapping[str, Node]) -> tuple[int, _Group]:
        entries = [entry for name in members for entry in self._entries(leaves[name])]
        entries.sort(key=lambda entry: self.order[id(entry[0])])
        first, side = entries[0]
        others = [parent for parent in first.inputs if parent is not side]
        floats = [parent for parent in others if parent.type.dtype.is_float]
        kind = {"matmul": LINEAR, "take": EMBEDDING}.get(first.op.name, SCALE)
        products = [node for node, _ in entries if node.op.name in ("matmul", "multiply")]
        group = _Group(
            name=prefix,
            parameters=members,
            kind=kind,
            given=floats[0] if floats and kind != EMBEDDING else None,
            given_nodes=others,
            gives=entries[-1][0],
            multiply_adds=sum(_cost(node) for node in products),
            uses=sum(node.op.name == first.op.name for node, _ in entries),
        )
        return self.order[id(first)], group

    def _entries(self, leaf: Node) -> Iterator[tuple[Node, Node]]:
        """Where a parameter meets the data: (node, the parameter's side of it), seen through changes of shape alone."""
        sides = [leaf]
        while sides:
            side = sides.pop()
            for user in self.users.get(id(side), ()):
                if user.op.name in SHAPING:
                    sides.append(user)
                else:
                    yield user, side

    def by_rows_before(self, node: Node | None) -> Node | None:
        """The same numbers with the rows of the batch in front: before they were turned round or repeated."""
        while node is not None and (not _by_rows(node) or node.op.name == "broadcast" or _inserts_ones(node)):
            turned = node.op.name in SHAPING and _has_rows(node.inputs[0])
            node = node.inputs[0] if turned else None
        return node

    def by_rows_after(self, node: Node) -> Node:
        """The same, after they were turned round."""
        while not _by_rows(node):
            users = self.users.get(id(node), [])
            if len(users) != 1 or users[0].op.name not in SHAPING:
                return node
            node = users[0]
        return node

    def sources(self, nodes: Iterable[Node], ends: Mapping[int, str], x: Node | None) -> tuple[str, ...]:
        """The layers from which nodes come with no other layer between, "x" among them."""
        found: dict[str, None] = {}
        seen: set[int] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop(0)
            if id(node) in seen:
                continue
            seen.add(id(node))
            if id(node) in ends:
                found[ends[id(node)]] = None
            elif x is not None and node is x:
                found[INPUTS] = None
            else:
                waiting.extend(node.inputs)
        return tuple(found)

    def then(self, gives: Node, ends: Mapping[int, str], plain: Mapping[str, str]) -> tuple[str, ...]:
        """What follows before the next layer: modules without parameters by their class, other ops by their name."""
        found: dict[str, None] = {}
        seen: set[int] = set()
        waiting = list(self.users.get(id(gives), ()))
        while waiting:
            node = waiting.pop(0)
            scope = node.provenance.scope
            if id(node) in seen or id(node) in ends or scope == LOSS_SCOPE or node.op.name == "matmul":
                continue
            seen.add(id(node))
            if name := plain.get(scope or "") or _NAMED.get(node.op.name):
                found[name] = None
            waiting.extend(self.users.get(id(node), ()))
        return tuple(found)

    @staticmethod
    def shape(leaf: Node) -> tuple[int, ...]:
        """Of a parameter, which has no symbolic dimension."""
        return tuple(int(size) for size in leaf.type.shape if not isinstance(size, SymbolicDim))


def _marked(stages: Sequence[Stage], last: Iterable[str]) -> tuple[Stage, ...]:
    """The stages, those marked that lie on the path with the most layers that compute; of two such, the shorter."""
    best: dict[str, tuple[tuple[int, int], str | None]] = {INPUTS: ((0, 0), None)}
    for stage in stages:
        known = [name for name in stage.sources if name in best]
        before = max(known, key=lambda name: best[name][0], default=None)
        most, length = best[before][0] if before is not None else (0, 0)
        best[stage.name] = (most + (stage.kind != EMBEDDING), length - 1), before
    at = max((name for name in last if name in best), key=lambda name: best[name][0], default=None)
    path = set()
    while at is not None:
        path.add(at)
        at = best[at][1]
    return tuple(replace(stage, main=stage.name in path and stage.given is not None) for stage in stages)


def _holds(module: str, layers: Iterable[str]) -> bool:
    """Whether a module is one of the layers, or has some inside."""
    return any(layer == module or layer.startswith(f"{module}.") for layer in layers)


def _by_rows(node: Node) -> bool:
    return node.type.shape[:1] == (BATCH,)


def _inserts_ones(node: Node) -> bool:
    """Whether it only gives its input more axes, of one entry each."""
    if node.op.name != "reshape":
        return False
    own, other = node.type.shape, node.inputs[0].type.shape
    return len(own) > len(other) and [size for size in own if size != 1] == [size for size in other if size != 1]


def _has_rows(node: Node) -> bool:
    return any(isinstance(size, SymbolicDim) for size in node.type.shape)


def _cost(node: Node) -> int:
    """Multiply-adds of a product, of one row."""
    sizes = [size.factor if isinstance(size, SymbolicDim) else size for size in node.type.shape]
    inner = node.inputs[0].type.shape[-1] if node.op.name == "matmul" else 1
    return math.prod(sizes) * (inner.factor if isinstance(inner, SymbolicDim) else int(inner))
