"""What Prometheus reads: every worker's counts added up, and what the store and the routing table say."""
