"""Two small real models on real data, and a client for them: what `modelctl demo` runs. See README.md beside this file."""
