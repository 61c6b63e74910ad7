"""What ops cost, roughly: enough to choose what is computed again, and what is unrolled."""

from fallline.ir.graph import Node

COST = {
    "exp": 12,
    "log": 16,
    "tanh": 16,
    "power": 60,
    "erf": 24,
    "random_uniform": 100,
    "sigmoid": 14,
    "softplus": 24,
    "divide": 4,
    "sqrt": 4,
}
"""Instructions of an op, roughly; 1 for those not named, 12 for other functions."""
PLAIN = frozenset({
    "absolute", "add", "cast", "equal", "less", "less_equal", "logical_and", "logical_not", "logical_or", "maximum",
    "minimum", "multiply", "negate", "relu", "sign", "stop_gradient", "subtract", "where",
})  # fmt: skip


def cost(node: Node) -> int:
    """Instructions of a node, roughly."""
    if node.op.name in COST:
        return COST[node.op.name]
    return 1 if node.op.name in PLAIN else 12
