"""What `make docs` writes itself: the reference, from the code it describes."""
