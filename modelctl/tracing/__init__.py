"""Traces for OpenTelemetry, made from what is recorded: the router does nothing for them but to pass on their ids."""
