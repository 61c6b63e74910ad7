"""Layers, activations, initialisation, losses. Parameters and calls to ops; no gradients."""

from fallline.nn import init, losses
from fallline.nn.activations import (
    GELU,
    SELU,
    Identity,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from fallline.nn.layers import Dropout, Embedding, EmbeddingBag, Flatten, Sequential
from fallline.nn.linear import Linear
from fallline.nn.module import Buffer, Module, Parameter
from fallline.nn.norm import BatchNorm, LayerNorm

__all__ = [
    "GELU",
    "SELU",
    "BatchNorm",
    "Buffer",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Mish",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "init",
    "losses",
]
