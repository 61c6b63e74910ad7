"""What makes a model of a table: column kinds, recipe, encoders and network as one model."""
