"""Fallline and its peers, one file each, all behind `Contender`; `CONTENDERS` lists them in the order of the pages."""

from benchmarks.peers.contender import Contender
from benchmarks.peers.fallline_fit import FalllineFit
from benchmarks.peers.jax_scan import JaxScan
from benchmarks.peers.jax_step import JaxStep
from benchmarks.peers.numpy_by_hand import NumPyByHand
from benchmarks.peers.sklearn_mlp import SklearnMLP
from benchmarks.peers.sklearn_sgd import SklearnSGD
from benchmarks.peers.torch_compile import TorchCompile
from benchmarks.peers.torch_eager import TorchEager
from benchmarks.peers.vowpal_wabbit import VowpalWabbit

_ALL: tuple[type[Contender], ...] = (
    FalllineFit, JaxScan, JaxStep, TorchEager, TorchCompile, NumPyByHand, SklearnMLP, SklearnSGD, VowpalWabbit,
)  # fmt: skip
CONTENDERS = {contender.name: contender for contender in _ALL}
OURS = FalllineFit.name

__all__ = ["CONTENDERS", "OURS", "Contender"]
