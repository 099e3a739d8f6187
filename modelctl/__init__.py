"""Deployment strategies and a traffic router for ML model backends.

Kept free of imports: a router worker loads this package and nothing that it does not serve from.
"""

__version__ = "0.1.0"
