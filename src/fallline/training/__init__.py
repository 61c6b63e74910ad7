"""Training: the one place that joins loss, backpropagation and update."""
