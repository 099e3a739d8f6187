"""From a word to traffic: the controller, the rules it asks, and what it latches, watches and sweeps away."""
