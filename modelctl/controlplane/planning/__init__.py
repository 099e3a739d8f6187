"""How long until a decision: plans before a rollout, forecasts during it. Pure but for `past`."""
