"""Structure: tensor types, ops as records, graphs, the abstract emitter. No arithmetic, no named ops."""
