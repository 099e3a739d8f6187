"""The decisions: what a command means, which table follows from it, and what the evidence says.

Pure: `strategies`, `compiler`, `judgement`. One transaction each: `operations`. In memory: `fleet` (which router serves which
table). The edge: `api`. What each folder holds is in docs/architecture.md, "Inside the control plane".
"""
