"""Sources of data (tables, arrays, images, text), encoders, and the order of batches."""
