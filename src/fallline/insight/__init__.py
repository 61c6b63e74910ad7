"""What happens inside, told with numbers: weights explained, runs compared, verified and profiled, rows suspected."""
