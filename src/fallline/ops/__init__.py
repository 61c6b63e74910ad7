"""Every op, one declaration each, grouped by family; the symbolic `Tensor`; functions of tensors."""

from fallline.ops.functions import FAMILIES
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor

__all__ = ["FAMILIES", "Tensor", "make_input"]
