"""The decisions: what a command means, which table follows from it, and what the evidence says.

Pure: `strategies`, `compiler`, `comparison`, `report`, `report_markdown`. One transaction each: `operations`.
In memory: `fleet` (which router serves which table). The edge: `api`.
"""
