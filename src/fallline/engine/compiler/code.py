"""Writing LLVM IR as text: typed values, one function at a time, with loops and uniform code hoisted to its entry.

The code is written explicitly vectorised, in static single assignment form, so that no optimisation pass has to run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from fallline.ir.kernel import LANES
from fallline.ir.types import DType

IR_TYPES = {
    DType.FLOAT32: "float",
    DType.FLOAT64: "double",
    DType.INT64: "i64",
    DType.INT32: "i32",
    DType.UINT8: "i8",
    DType.BOOL: "i1",
}
BYTES = {
    DType.FLOAT32: 4,
    DType.FLOAT64: 8,
    DType.INT64: 8,
    DType.INT32: 4,
    DType.UINT8: 1,
    DType.BOOL: 1,  # in memory a truth value is a byte, 0 or 1
}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the program: its text (a register or a literal), its dtype, and its lanes (1 is a scalar)."""

    text: str
    dtype: DType
    lanes: int = 1

    @property
    def type(self) -> str:
        """Its LLVM type, such as `float` or `<16 x float>`."""
        return ir_type(self.dtype, self.lanes)

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


def ir_type(dtype: DType, lanes: int = 1) -> str:
    """The LLVM type of a value in a register."""
    scalar = IR_TYPES[dtype]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def memory_type(dtype: DType, lanes: int = 1) -> str:
    """The LLVM type of a value in memory."""
    return ir_type(DType.UINT8 if dtype is DType.BOOL else dtype, lanes)


def literal(value: float, dtype: DType) -> str:
    """A constant as LLVM writes it; floats as the bits of the double that equals them."""
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if not dtype.is_float:
        return str(int(value))
    with np.errstate(over="ignore"):
        rounded = np.float64(np.float32(value)) if dtype is DType.FLOAT32 else np.float64(value)
    return f"0x{int(rounded.view(np.uint64)):016X}"


def i64(value: int) -> Value:
    """An integer constant for addresses and counters."""
    return Value(str(value), DType.INT64)


@dataclass
class Carried:
    """Values that a loop carries from turn to turn.

    Attributes:
        values: what they are inside the loop.
        following: what the body makes of them; to be set before the loop's end.
        after: what they are after the loop.
    """

    index: Value
    values: list[Value]
    following: list[Value] = field(default_factory=list)
    after: list[Value] = field(default_factory=list)


class Code:
    """One LLVM function being written.

    Args:
        name: of the function.
        parameters: as LLVM writes them, "ptr %arena, i64 %first".
        attributes: after the parameters, such as "alwaysinline".
        result: the LLVM type that it returns.
        linkage: "internal " or "".
    """

    def __init__(
        self, name: str, parameters: str, attributes: str = "", result: str = "void", linkage: str = "internal "
    ) -> None:
        self.parameters = parameters
        self._head = f"define {linkage}{result} @{name}", attributes
        self.declarations: set[str] = set()
        self._entry: list[str] = []
        self._body: list[str] = []
        self._lines = self._body
        self._count = 0
        self._block = "start"

    def name(self) -> str:
        """A name not used before in this function."""
        self._count += 1
        return f"t{self._count}"

    def do(self, line: str) -> None:
        """An instruction without a result."""
        self._lines.append(f" {line}")

    def emit(self, expression: str, dtype: DType, lanes: int = 1) -> Value:
        """An instruction with a result."""
        register = f"%{self.name()}"
        self._lines.append(f" {register} = {expression}")
        return Value(register, dtype, lanes)

    def pointer(self, expression: str) -> str:
        """An instruction that gives a pointer."""
        register = f"%{self.name()}"
        self._lines.append(f" {register} = {expression}")
        return register

    def call(self, intrinsic: str, arguments: Sequence[str], dtype: DType, lanes: int = 1) -> Value:
        """A call of a function that is declared by being called."""
        self._declare(intrinsic, arguments, ir_type(dtype, lanes))
        return self.emit(f"call {ir_type(dtype, lanes)} @{intrinsic}({', '.join(arguments)})", dtype, lanes)

    def call_void(self, intrinsic: str, arguments: Sequence[str]) -> None:
        """The same without a result."""
        self._declare(intrinsic, arguments, "void")
        self.do(f"call void @{intrinsic}({', '.join(arguments)})")

    def _declare(self, intrinsic: str, arguments: Sequence[str], result: str) -> None:
        types = ", ".join(_type_of(argument) for argument in arguments)
        self.declarations.add(f"declare {result} @{intrinsic}({types})")

    @contextmanager
    def hoisted(self) -> Iterator[None]:
        """Write into the function's entry: code that is the same in every turn of every loop."""
        before, self._lines = self._lines, self._entry
        yield
        self._lines = before

    def label(self, name: str) -> None:
        """Begin a block."""
        self._lines.append(f"{name}:")
        self._block = name

    @contextmanager
    def loop(self, first: Value, stop: Value, step: int = 1, carried: Sequence[Value] = ()) -> Iterator[Carried]:
        """for index in range(first, stop, step), carrying values from turn to turn."""
        head, body, leave = (f"b{self.name()}" for _ in range(3))
        before = self._block
        self.do(f"br label %{head}")
        self.label(head)
        index = Value(f"%{self.name()}", DType.INT64)
        inside = [Value(f"%{self.name()}", value.dtype, value.lanes) for value in carried]
        lines, place = self._lines, len(self._lines)
        more = self.emit(f"icmp slt {index}, {stop.text}", DType.BOOL)
        self.do(f"br {more}, label %{body}, label %{leave}")
        self.label(body)
        state = Carried(index, inside)
        yield state
        following = self.emit(f"add nsw {index}, {step}", DType.INT64)
        latch = self._block
        self.do(f"br label %{head}")
        phis = [f" {index.text} = phi i64 [ {first.text}, %{before} ], [ {following.text}, %{latch} ]"]
        for inner, start, after in zip(inside, carried, state.following, strict=True):
            phis.append(f" {inner.text} = phi {inner.type} [ {start.text}, %{before} ], [ {after.text}, %{latch} ]")
        lines[place:place] = phis
        self.label(leave)
        state.after = inside

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Do what is inside only if the condition holds."""
        inside, leave = f"b{self.name()}", f"b{self.name()}"
        self.do(f"br {condition}, label %{inside}, label %{leave}")
        self.label(inside)
        yield
        self.do(f"br label %{leave}")
        self.label(leave)

    def text(self, result: str = "void") -> str:
        """The whole function."""
        head = f"{self._head[0]}({self.parameters}) {self._head[1]} {{"
        lines = [head, "entry:", *self._entry, " br label %start", "start:", *self._body, f" ret {result}", "}"]
        return "\n".join(lines) + "\n"

    # integers and addresses

    def add(self, a: Value, b: Value) -> Value:
        """a + b of scalar integers; constants are added here."""
        if _is_number(a) and _is_number(b):
            return i64(int(a.text) + int(b.text))
        if a.text == "0":
            return b
        return a if b.text == "0" else self.emit(f"add nsw {a}, {b.text}", DType.INT64)

    def times(self, a: Value, factor: int) -> Value:
        """a·factor of a scalar integer."""
        if _is_number(a):
            return i64(int(a.text) * factor)
        if factor in (0, 1):
            return a if factor else i64(0)
        return self.emit(f"mul nsw {a}, {factor}", DType.INT64)

    def at(self, pointer: str, offset: Value) -> str:
        """The address `offset` bytes behind a pointer."""
        if offset.text == "0":
            return pointer
        return self.pointer(f"getelementptr i8, ptr {pointer}, {offset}")

    # memory

    def load(self, pointer: str, dtype: DType, lanes: int = 1, live: int = LANES, align: int = 1) -> Value:
        """Load a scalar or a vector, of which only the first `live` lanes are read (the others are 0)."""
        kind = memory_type(dtype, lanes)
        align = max(align, BYTES[dtype])
        register = DType.UINT8 if dtype is DType.BOOL else dtype
        if lanes == 1 or live >= lanes:
            value = self.emit(f"load {kind}, ptr {pointer}, align {align}", register, lanes)
        else:
            suffix = f"v{lanes}{_suffix(register)}"
            arguments = [f"ptr {pointer}", f"i32 {align}", mask_of_first(live, lanes), f"{kind} zeroinitializer"]
            value = self.call(f"llvm.masked.load.{suffix}.p0", arguments, register, lanes)
        return self._as_bool(value) if dtype is DType.BOOL else value

    def store(self, value: Value, pointer: str, live: int = LANES, align: int = 1) -> None:
        """Store a scalar, or the first `live` lanes of a vector."""
        align = max(align, BYTES[value.dtype])
        value = self._as_byte(value) if value.dtype is DType.BOOL else value
        if value.lanes == 1 or live >= value.lanes:
            self.do(f"store {value}, ptr {pointer}, align {align}")
            return
        arguments = [str(value), f"ptr {pointer}", f"i32 {align}", mask_of_first(live, value.lanes)]
        self.call_void(f"llvm.masked.store.v{value.lanes}{_suffix(value.dtype)}.p0", arguments)

    def gather(self, pointers: str, dtype: DType, live: int = LANES) -> Value:
        """Load one element from each of a vector of addresses."""
        register = DType.UINT8 if dtype is DType.BOOL else dtype
        kind = ir_type(register, LANES)
        arguments = [
            f"<{LANES} x ptr> {pointers}",
            f"i32 {BYTES[dtype]}",
            mask_of_first(live, LANES),
            f"{kind} zeroinitializer",
        ]
        name = f"llvm.masked.gather.v{LANES}{_suffix(register)}.v{LANES}p0"
        value = self.call(name, arguments, register, LANES)
        return self._as_bool(value) if dtype is DType.BOOL else value

    def scatter(self, value: Value, pointers: str, live: int = LANES) -> None:
        """Store one lane at each of a vector of addresses."""
        size = BYTES[value.dtype]
        value = self._as_byte(value) if value.dtype is DType.BOOL else value
        arguments = [str(value), f"<{LANES} x ptr> {pointers}", f"i32 {size}", mask_of_first(live, LANES)]
        self.call_void(f"llvm.masked.scatter.v{LANES}{_suffix(value.dtype)}.v{LANES}p0", arguments)

    def addresses(self, pointer: str, offsets: Value) -> str:
        """A vector of addresses: a pointer and a vector of offsets in bytes."""
        return self.pointer(f"getelementptr i8, ptr {pointer}, {offsets}")

    def _as_bool(self, value: Value) -> Value:
        zero = "0" if value.lanes == 1 else "zeroinitializer"
        return self.emit(f"icmp ne {value}, {zero}", DType.BOOL, value.lanes)

    def _as_byte(self, value: Value) -> Value:
        return self.emit(f"zext {value} to {ir_type(DType.UINT8, value.lanes)}", DType.UINT8, value.lanes)

    # vectors

    def splat(self, value: Value, lanes: int = LANES) -> Value:
        """A scalar in every lane."""
        if value.lanes != 1:
            return value
        if not value.text.startswith("%"):
            return Value(f"splat ({value})", value.dtype, lanes)
        kind = ir_type(value.dtype, lanes)
        first = self.emit(f"insertelement {kind} poison, {value}, i64 0", value.dtype, lanes)
        return self.emit(f"shufflevector {first}, {kind} poison, <{lanes} x i32> zeroinitializer", value.dtype, lanes)

    def shuffle(self, a: Value, b: Value | None, places: Sequence[int]) -> Value:
        """Lanes picked from a (0 …) and b (LANES …)."""
        other = f"{a.type} poison" if b is None else str(b)
        picked = ", ".join(f"i32 {place}" for place in places)
        return self.emit(f"shufflevector {a}, {other}, <{len(places)} x i32> <{picked}>", a.dtype, len(places))

    def lane(self, vector: Value, number: int) -> Value:
        """One lane as a scalar."""
        return self.emit(f"extractelement {vector}, i64 {number}", vector.dtype)


def mask_of_first(live: int, lanes: int) -> str:
    """A mask with the first `live` lanes on."""
    if live >= lanes:
        return f"<{lanes} x i1> splat (i1 true)"
    return f"<{lanes} x i1> <{', '.join(f'i1 {int(lane < live)}' for lane in range(lanes))}>"


def _suffix(dtype: DType) -> str:
    return {"float": "f32", "double": "f64"}.get(IR_TYPES[dtype], IR_TYPES[dtype])


def _type_of(argument: str) -> str:
    if argument.startswith("<"):
        return argument[: argument.index(">") + 1]
    return argument.split(maxsplit=1)[0]


def _is_number(value: Value) -> bool:
    return not value.text.startswith("%")
