"""The value of a node at a place of a kernel's loops: expressions followed down to what is stored in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fallline.engine.compiler.code import BYTES, Code, Value, i64
from fallline.engine.compiler.group import Group, Kind
from fallline.engine.compiler.groups import Grouping
from fallline.engine.compiler.index import COLUMN, VIEWS, Index, Indices, base_of, push
from fallline.engine.compiler.layout import Layout, Memory
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.philox_code import philox_block, philox_word
from fallline.engine.compiler.sites import Access, AcrossRows, AlongColumns, Site
from fallline.errors import CompileError
from fallline.ir.graph import Node
from fallline.ir.kernel import LANES, Contraction, Elementwise, IndexMap, Leaf, Random, Reduction, Scatter
from fallline.ir.types import DType

KERNEL_PARAMETERS = "ptr %context, ptr %rows, ptr %scalars, i64 %step, i64 %first, i64 %last"
"""Of every kernel; before them come the addresses of its tensors, so that equal kernels share their code."""
ARENA, STATE, BARRIER, KEYS, ROWS, SCALARS, STEP, PROFILE, INPUTS = range(9)
"""Places of a program's context, in units of 8 bytes; from INPUTS on the arrays of the data set."""


class Bindings:
    """What a program's leaves are bound to, and its random streams.

    Attributes:
        scalars: id of a leaf → its place among the numbers given for each step.
        step: id of the leaf that is the step's number, if any.
        inputs: name of an input of the data set → its place in the context.
        streams: id of a random node → its place among the keys.
    """

    def __init__(self) -> None:
        self.scalars: dict[int, int] = {}
        self.step: int | None = None
        self.inputs: dict[str, int] = {}
        self.streams: dict[int, int] = {}


@dataclass
class Block:
    """Four neighbouring vectors of columns, from a multiple of 64 on, whose random words come from one counter.

    Attributes:
        start: the first column.
        vector: which of the four is being computed.
        words: id of a random node → its words.
    """

    start: Value
    vector: int = 0
    words: dict[int, list[Value]] = field(default_factory=dict)


class Evaluator:
    """Values of nodes in one kernel.

    Attributes:
        site: where the loops stand.
        available: nodes of the group itself that an earlier pass has stored.
        block: the columns at hand, where a pass takes them four vectors at a time.
    """

    def __init__(self, code: Code, group: Group, grouping: Grouping, memory: Memory, bindings: Bindings) -> None:
        self.code, self.emitter = code, LlvmEmitter(code)
        self.group, self.grouping, self.memory, self.bindings = group, grouping, memory, bindings
        self.available: set[int] = set()
        self.block: Block | None = None
        self.site: Site = AlongColumns(code, (), i64(0))
        self._scopes: list[dict[Any, Value]] = [{}]
        self._pointers: dict[str, str] = {}
        self.tensors: dict[tuple[str, int], str] = {}
        self._pure: dict[int, bool] = {}

    @contextmanager
    def scope(self, site: Site) -> Iterator[None]:
        """Values found inside are forgotten at the end: their registers do not reach beyond."""
        before, self.site = self.site, site
        self._scopes.append({})
        yield
        self._scopes.pop()
        self.site = before

    def give(self, node: Node, indices: Indices, value: Value) -> None:
        """Tell the value of a node in this scope."""
        self._scopes[-1][(id(node), indices)] = value

    def value(self, node: Node, indices: Indices) -> Value:
        """The node's element at these indices."""
        key = (id(node), indices)
        for scope in self._scopes:
            if key in scope:
                return scope[key]
        if not any(index.token for index in indices) and self._is_pure(node):
            with self.code.hoisted():
                found = self._scopes[0][key] = self._computed(node, indices)
            return found
        found = self._scopes[-1][key] = self._computed(node, indices)
        return found

    def prepare(self, node: Node, indices: Indices, seen: set[Any] | None = None) -> None:
        """Compute, in the scope at hand, whatever does not depend on the column."""
        seen = set() if seen is None else seen
        if (id(node), indices) in seen:  # a node may be reached in many ways: 2ⁿ of them after n of x + x
            return
        seen.add((id(node), indices))
        if not any(index.token == COLUMN for index in indices):
            self.value(node, indices)
        elif self._is_stored(node) or isinstance(node.op.kernel, Leaf):
            return
        elif node.op.name in VIEWS and (pushed := self._pushed(node, indices)) is not None:
            self.prepare(node.inputs[0], pushed, seen)
        elif isinstance(node.op.kernel, Elementwise):
            for parent in node.inputs:
                self.prepare(parent, indices, seen)

    def _pushed(self, node: Node, indices: Indices) -> Indices | None:
        """Indices into a view's input where what it views is computed here; None where it is read from memory."""
        base = base_of(node, self.grouping.stored_views)
        own = self.grouping.owner.get(id(base)) is self.group and id(base) not in self.available
        scalar = (base.op.name == "constant" and not base.type.shape) or id(base) in self.bindings.scalars
        if own or scalar or id(base) in self.grouping.inlined or id(base) == self.bindings.step:
            return push(node, indices)
        return None

    def _is_stored(self, node: Node) -> bool:
        if node.op.name in VIEWS and id(node) not in self.grouping.stored_views:
            return False
        if self.group.kind is Kind.COPY and node is self.group.root:
            return False
        foreign = self.grouping.owner.get(id(node)) is not self.group
        return id(node) in self.memory.layouts and (foreign or id(node) in self.available)

    def _is_pure(self, node: Node) -> bool:
        """Whether a value without loop variables can be computed before the loops: nothing here is reduced for it."""
        if id(node) not in self._pure:
            form = node.op.kernel
            if any(node is stored for stored in self.group.stored):  # read, perhaps, from where it will be stored
                self._pure[id(node)] = False
            elif self._is_stored(node) or isinstance(form, Leaf):
                self._pure[id(node)] = True
            elif isinstance(form, Reduction | Contraction | Scatter | Random):
                self._pure[id(node)] = False
            else:
                self._pure[id(node)] = all(self._is_pure(parent) for parent in node.inputs)
        return self._pure[id(node)]

    def _computed(self, node: Node, indices: Indices) -> Value:
        form = node.op.kernel
        if id(node) in self.bindings.scalars:
            return self._scalar(node)
        if id(node) == self.bindings.step:
            return Value("%step", DType.INT64)
        if node.op.name == "constant" and not node.type.shape:
            return self.emitter.constant(node.attributes["value"], node.type.dtype)
        if self.group.kind is Kind.COPY and node is self.group.root:
            return self._copied(node, indices)
        if self._is_stored(node):
            return self._loaded(node, indices)
        if node.op.name in VIEWS:
            pushed = self._pushed(node, indices)
            return self._loaded(node, indices) if pushed is None else self.value(node.inputs[0], pushed)
        if isinstance(form, Elementwise):
            arguments = [self.value(parent, indices) for parent in node.inputs]
            result: Value = form.body(self.emitter, *arguments, **node.attributes)
            return result
        if isinstance(form, Reduction) and isinstance(self.site, AcrossRows):
            return self._reduced_across(node, form, indices)
        if isinstance(form, IndexMap):
            return self._mapped(node, form, indices)
        if isinstance(form, Random):
            return self._random(node, form, indices)
        raise CompileError(f"the compiled engine cannot compute {node!r} inside a {self.group.kind} kernel")

    def _copied(self, node: Node, indices: Indices) -> Value:
        """What a copy kernel stores: an input of the data set, or what a view shows."""
        if not node.inputs:
            return self._source(node, indices)
        pushed = push(node, indices)
        if pushed is None:
            raise CompileError(f"the compiled engine cannot copy {node!r}, which moves elements between axes")
        return self.value(node.inputs[0], pushed)

    def _scalar(self, node: Node) -> Value:
        place = i64(8 * self.bindings.scalars[id(node)])
        number = self.code.load(self.code.at("%scalars", place), DType.FLOAT64)
        return self.emitter.cast(number, node.type.dtype)

    # reading memory

    def _loaded(self, node: Node, indices: Indices | None) -> Value:
        if indices is None:
            raise CompileError(f"the compiled engine cannot follow {node!r} to where it is stored")
        base = base_of(node, self.grouping.stored_views)
        layout = self.memory.layouts.get(id(base))
        if layout is not None and layout.base.startswith("input:"):
            while node is not base:
                pushed = push(node, indices)
                if pushed is None:
                    raise CompileError(f"the compiled engine cannot follow {node!r} into the data set")
                node, indices = node.inputs[0], pushed
            return self._source(base, indices)
        stored, offset, strides = self.memory.view(node)
        return self._load(self.access(self.memory.layouts[id(stored)], indices, strides, offset))

    def _source(self, leaf: Node, indices: Indices) -> Value:
        """An element of an input of the data set, in the row whose number the batch holds."""
        name = self.memory.row_names[id(leaf)]
        layout = self.memory.sources[id(leaf)]
        access = self.access(layout, (Index(), *indices[1:]), layout.strides, 0)
        row = Access(
            self.input_pointer(name),
            access.constant,
            access.strides,
            layout.dtype,
            padded=False,
            indirect=layout.strides[0] * BYTES[layout.dtype],
            place=indices[0],
        )
        return self._load(row)

    def _load(self, access: Access) -> Value:
        if isinstance(self.site, AlongColumns | AcrossRows):
            return self.site.load(access)
        raise CompileError("a kernel without loops reads no memory")

    def access(self, layout: Layout, indices: Indices, strides: tuple[int, ...], offset: int) -> Access:
        """Where an element lies, from the indices and strides of its axes."""
        size = BYTES[layout.dtype]
        constant = offset * size
        moved: dict[str, int] = {}
        for index, stride in zip(indices, strides, strict=True):
            constant += index.offset * stride * size
            if index.token:
                moved[index.token] = moved.get(index.token, 0) + index.scale * stride * size
        whole = layout.padded and all(index.offset % LANES == 0 for index in indices[-1:])
        pointer = "" if layout.base.startswith("input:") else self.pointer(layout)
        return Access(pointer, constant, moved, layout.dtype, whole)

    def pointer(self, layout: Layout) -> str:
        """The parameter that holds the tensor's address."""
        return self.tensors.setdefault((layout.base, layout.offset), f"%m{len(self.tensors)}")

    def input_pointer(self, name: str) -> str:
        """The register that holds the address of an array of the data set."""
        if name not in self._pointers:
            place = i64(8 * (INPUTS + self.bindings.inputs[name]))
            with self.code.hoisted():
                self._pointers[name] = self.code.pointer(f"load ptr, ptr {self.code.at('%context', place)}, align 8")
        return self._pointers[name]

    # other forms

    def _reduced_across(self, node: Node, form: Reduction, indices: Indices) -> Value:
        """The row's columns dealt to sixteen lanes, which here are sixteen vectors; then by halving."""
        e, source = self.emitter, node.inputs[0]
        start = form.init(e, node.type.dtype)
        lanes: list[Value] = [start] * LANES
        columns = int(source.type.shape[-1])  # type: ignore[arg-type]
        for column in range(columns):
            element = self.value(source, (*indices, Index("", 1, column)))
            lanes[column % LANES] = form.combine(e, lanes[column % LANES], element)
        return _halved(lambda a, b: form.combine(e, a, b), lanes, start)

    def _mapped(self, node: Node, form: IndexMap, indices: Indices) -> Value:
        """An element that a node's own index arithmetic finds."""
        types = [parent.type for parent in node.inputs]
        values = [self.site.index_value(index) for index in indices]

        by_data = any(kind.dtype.is_integer for kind in types)

        def load(number: int, places: list[Value]) -> Value:
            if by_data:  # rows beyond the batch's last hold anything, but must be read from somewhere
                places = [self._inside(place, size) for place, size in zip(places, types[number].shape, strict=True)]
            return self._gathered(node.inputs[number], places)

        result: Value = form.body(self.emitter, load, values, types=types, **node.attributes)
        return result

    def _inside(self, place: Value, size: Any) -> Value:
        """The index held within 0 … size − 1."""
        e, zero, largest = self.emitter, i64(0), i64(int(size) - 1)
        place = e.select(e.less(place, zero), zero, place)
        return e.select(e.less(largest, place), largest, place)

    def _gathered(self, node: Node, places: list[Value]) -> Value:
        base = base_of(node, self.grouping.stored_views)
        if base.op.name == "constant" and not base.type.shape:
            return self.emitter.constant(base.attributes["value"], base.type.dtype)
        stored, offset, strides = self.memory.view(node)
        layout, e = self.memory.layouts[id(stored)], self.emitter
        size = BYTES[layout.dtype]
        total: Value = i64(offset * size)
        for place, stride in zip(places, strides, strict=True):
            if stride:
                total = e.add(total, e.multiply(place, i64(stride * size)))
        pointer = self.pointer(layout)
        if total.lanes == 1:
            return self.code.load(self.code.at(pointer, total), layout.dtype)
        live = self.site.live if isinstance(self.site, AlongColumns | AcrossRows) else LANES
        return self.code.gather(self.code.addresses(pointer, total), layout.dtype, live)

    def _random(self, node: Node, form: Random, indices: Indices) -> Value:
        shape: Any = node.type.shape
        e, step = self.emitter, Value("%step", DType.INT64)
        row = self.site.index_value(indices[0]) if shape else i64(0)
        if self.block is not None and len(shape) == 2 and indices[1] == Index(COLUMN):
            if id(node) not in self.block.words:  # one counter serves the four vectors of the block
                self.block.words[id(node)] = philox_block(e, row, self.block.start, step, self._key(node))
            word = self.block.words[id(node)][self.block.vector]
        else:
            element: Value = i64(0)
            for size, index in zip(shape[1:], indices[1:], strict=True):
                element = e.add(e.multiply(element, i64(size)), self.site.index_value(index))
            word = philox_word(e, row, element, step, self._key(node))
        result: Value = form.body(e, word, dtype=node.type.dtype)
        return result

    def _key(self, node: Node) -> list[Value]:
        """The two halves of a random stream's key."""
        with self.code.hoisted():
            keys = self.code.pointer(f"load ptr, ptr {self.code.at('%context', i64(8 * KEYS))}, align 8")
            first = 16 * self.bindings.streams[id(node)]
            return [self.code.load(self.code.at(keys, i64(first + 8 * half)), DType.INT64) for half in (0, 1)]


def _halved(combine: Any, lanes: list[Value], start: Value) -> Value:
    """Lanes combined by halving; lanes that hold nothing but the start leave the others' bits as they are."""
    while len(lanes) > 1:
        half = len(lanes) // 2
        pairs = zip(lanes[:half], lanes[half:], strict=True)
        lanes = [a if b is start else combine(a, b) for a, b in pairs]
    return lanes[0]
