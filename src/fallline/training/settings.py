"""How to train: the arguments of `fl.fit` that concern the loop, checked."""

from dataclasses import dataclass

from fallline.optim.schedules import Schedule
from fallline.training.metrics import Metric


@dataclass(frozen=True)
class Settings:
    """How to train; see `fallline.fit` for each."""

    batch_size: int
    epochs: int
    until: str | None
    tol: float
    patience: int | None
    schedule: Schedule
    clip_norm: float | None
    clip_value: float | None
    restore_best: bool
    seed: int
    shuffle: bool
    dtype: str
    engine: str
    threads: int | None
    shards: int
    metrics: tuple[Metric, ...]
    train_metrics: tuple[Metric, ...]
    train_loss_each_epoch: bool
    checkpoint_every: float
