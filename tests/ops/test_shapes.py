"""Shapes of any kind: broadcasting, indexing and reshaping against NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from fallline.engine.reference import run
from fallline.errors import ShapeError
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH, SymbolicDim, bind
from fallline.ops import Tensor, make_input
from fallline.ops.tensor import broadcast_shapes

SHAPES = st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=4).map(tuple)


def value(x: Tensor, tensor: Tensor, array: Any) -> Any:
    return run(Graph({"x": x.node}, {"y": tensor.node}), {"x": array})["y"]


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_broadcast_shapes_are_numpys(shapes: list[tuple[int, ...]]) -> None:
    try:
        wanted = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ShapeError, match=r"^add: shapes .* do not broadcast"):
            broadcast_shapes("add", *shapes)
    else:
        assert broadcast_shapes("add", *shapes) == wanted


@given(st_numpy.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_broadcast_values_are_numpys(shapes: st_numpy.BroadcastableShapes) -> None:
    first, second = shapes.input_shapes
    a, b = np.arange(np.prod(first, dtype=int)) + 1.0, np.arange(np.prod(second, dtype=int)) - 2.0
    a, b = a.reshape(first), b.reshape(second)
    x, y = make_input("x", a.shape, "float64"), make_input("y", b.shape, "float64")
    graph = Graph({"x": x.node, "y": y.node}, {"z": (x - y).node})
    np.testing.assert_array_equal(run(graph, {"x": a, "y": b})["z"], a - b)


@pytest.mark.parametrize(
    ("shapes", "result"),
    [
        (((BATCH, 3), (3,)), (BATCH, 3)),
        (((BATCH, 1), (1, 4)), (BATCH, 4)),
        (((1, 3), (BATCH, 1)), (BATCH, 3)),
        (((2, BATCH, 3), (BATCH, 1)), (2, BATCH, 3)),
    ],
)
def test_symbolic_rows_broadcast_with_themselves_and_with_one(shapes: Any, result: Any) -> None:
    assert broadcast_shapes("add", *shapes) == result


@pytest.mark.parametrize("other", [5, SymbolicDim("n", 2), SymbolicDim("m")])
def test_symbolic_rows_do_not_broadcast_with_anything_else(other: Any) -> None:
    with pytest.raises(ShapeError, match="do not broadcast"):
        broadcast_shapes("add", (BATCH, 3), (other, 3))


ARRAY_SHAPES = st_numpy.array_shapes(min_dims=1, max_dims=3, max_side=5)


@given(st.data())
def test_indexing_is_numpys(data: st.DataObject) -> None:
    shape = data.draw(ARRAY_SHAPES)
    index = data.draw(st_numpy.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    wanted = array[index]
    items = index if isinstance(index, tuple) else (index,)
    slices = [item for item in items if isinstance(item, slice)]
    x = make_input("x", shape, "float64")
    if np.size(wanted) == 0 or any(item.step is not None and item.step < 0 for item in slices):
        with pytest.raises(ShapeError, match=r"is empty$|runs backwards; use a positive step$"):
            x[index]
    else:
        found = value(x, x[index], array)
        assert found.shape == np.shape(wanted)
        np.testing.assert_array_equal(found, wanted)


@given(st.data())
def test_picking_rows_is_numpys(data: st.DataObject) -> None:
    shape = data.draw(ARRAY_SHAPES)
    rows = data.draw(
        st_numpy.arrays(np.int64, st_numpy.array_shapes(max_dims=2), elements=st.integers(0, shape[0] - 1))
    )
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    x = make_input("x", shape, "float64")
    np.testing.assert_array_equal(value(x, x[rows], array), array[rows])
    indices = make_input("i", rows.shape, "int64")
    graph = Graph({"x": x.node, "i": indices.node}, {"y": x[indices].node})
    np.testing.assert_array_equal(run(graph, {"x": array, "i": rows})["y"], array[rows])


@given(st.data())
def test_columns_of_symbolic_rows_are_numpys(data: st.DataObject) -> None:
    shape = data.draw(ARRAY_SHAPES)
    index = data.draw(st_numpy.basic_indices(shape, allow_newaxis=True, allow_ellipsis=False))
    rest = index if isinstance(index, tuple) else (index,)
    array = np.arange(4 * np.prod(shape), dtype=np.float64).reshape(4, *shape)
    x = make_input("x", (BATCH, *shape), "float64")
    wanted = array[(slice(None), *rest)]
    slices = [item for item in rest if isinstance(item, slice)]
    if wanted.size and not any(item.step is not None and item.step < 0 for item in slices):
        np.testing.assert_array_equal(value(x, x[(slice(None), *rest)], array), wanted)


def factorings(size: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of `size` elements."""

    def split(data: tuple[int, list[int]]) -> tuple[int, ...]:
        left, picks = data
        dims = []
        for pick in picks:
            divisors = [d for d in range(1, left + 1) if left % d == 0]
            dims.append(divisors[pick % len(divisors)])
            left //= dims[-1]
        return (*dims, left)

    return st.tuples(st.just(size), st.lists(st.integers(0, 20), max_size=3)).map(split)


@given(st.sampled_from([1, 6, 12, 24]).flatmap(lambda n: st.tuples(factorings(n), factorings(n))), st.data())
def test_reshape_is_numpys(shapes: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject) -> None:
    before, after = shapes
    array = np.arange(np.prod(before), dtype=np.float64).reshape(before)
    asked = list(after)
    if data.draw(st.booleans()):
        asked[data.draw(st.integers(0, len(after) - 1))] = -1
    x = make_input("x", before, "float64")
    y = x.reshape(asked)
    assert y.shape == after
    np.testing.assert_array_equal(value(x, y, array), array.reshape(asked))


@given(st.sampled_from([1, 6, 12]).flatmap(lambda n: st.tuples(factorings(n), factorings(n))), st.integers(1, 4))
def test_reshape_of_symbolic_rows_is_numpys(shapes: tuple[tuple[int, ...], tuple[int, ...]], rows: int) -> None:
    before, after = shapes
    array = np.arange(rows * np.prod(before), dtype=np.float64).reshape(rows, *before)
    x = make_input("x", (BATCH, *before), "float64")
    shapes_asked: list[tuple[Any, ...]] = [(-1, *after), (BATCH, *after), (-1,), (BATCH, -1)]
    for asked in shapes_asked:
        y = x.reshape(asked)
        wanted = array.reshape(tuple(rows if dim is BATCH else dim for dim in asked))
        assert bind(y.shape, {"n": rows}) == wanted.shape
        np.testing.assert_array_equal(value(x, y, array), wanted)
    flat = x.reshape(-1)
    assert flat.reshape((-1, *before)).shape == x.shape
    assert flat.reshape((BATCH, *after)).shape == (BATCH, *after)


def test_reshape_takes_numpys_whole_numbers_and_keeps_a_shape_that_fits() -> None:
    x = make_input("x", (2, 6), "float32")
    assert x.reshape(np.int64(3), np.int64(-1)).shape == (3, 4)
    assert all(type(dim) is int for dim in x.reshape(tuple(np.array([3, 4]))).shape)
    assert x.reshape(2, 6).node is x.node
    assert x[...].node is x.node
