"""Update rules, schedules and clipping: what is done with a gradient once it is known.

An update rule turns (weight, gradient, state, η) into (weight, state) and knows nothing of graphs or layers:

    opt = optim.SGD(lr=0.1, momentum=0.9)
    state = opt.init(weights)
    weights, state = opt.update(weights, grads, state)
"""

from fallline.optim.adam import Adam, AdamW
from fallline.optim.adaptive import Adadelta, Adagrad, RMSprop
from fallline.optim.clipping import clip_by_global_norm, clip_by_value, global_norm
from fallline.optim.hyper import Hyper
from fallline.optim.lion import Lion
from fallline.optim.nadam import NAdam
from fallline.optim.optimizer import Optimizer, by_name, from_config
from fallline.optim.radam import RAdam
from fallline.optim.rule import RULES, Slot, UpdateRule
from fallline.optim.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    CosineRestarts,
    ExponentialDecay,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    Warmup,
)
from fallline.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "RMSprop",
    "Adadelta",
    "Adam",
    "AdamW",
    "NAdam",
    "RAdam",
    "Lion",
    "Optimizer",
    "by_name",
    "from_config",
    "UpdateRule",
    "Hyper",
    "Slot",
    "RULES",
    "Schedule",
    "Constant",
    "StepDecay",
    "ExponentialDecay",
    "Cosine",
    "CosineRestarts",
    "OneCycle",
    "Warmup",
    "ReduceOnPlateau",
    "SCHEDULES",
    "clip_by_value",
    "clip_by_global_norm",
    "global_norm",
]
