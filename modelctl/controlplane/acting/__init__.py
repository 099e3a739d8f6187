"""What automation does: the loop, and every look with its consequence in one transaction, while the lease is held."""
