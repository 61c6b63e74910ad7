"""Running graphs: the reference walk, and kernel forms evaluated with NumPy."""
