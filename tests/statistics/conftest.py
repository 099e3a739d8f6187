"""Laws are about values, not about speed: no deadline per example, so that a busy machine fails no test."""

from hypothesis import settings

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
