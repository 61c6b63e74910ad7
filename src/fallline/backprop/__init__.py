"""Backpropagation: graph in, graph out. No learning rate, no layer."""
