"""How long until a decision: plans before a rollout, and during it. Pure but for `past`."""
