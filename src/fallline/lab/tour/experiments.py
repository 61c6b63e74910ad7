"""All experiments of the tour, by the name of their page."""

from fallline.lab.tour import descents, one_neuron, trouble, two_layers
from fallline.lab.tour.controls import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    **one_neuron.EXPERIMENTS, **two_layers.EXPERIMENTS, **descents.EXPERIMENTS, **trouble.EXPERIMENTS,
}  # fmt: skip
