"""Known answers of the fixed-horizon and the descriptive methods."""
