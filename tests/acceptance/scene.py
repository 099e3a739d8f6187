"""A program with backends and a route, set up with the commands a user would type."""

from collections.abc import Mapping

from tests.acceptance.program import Program


def add_backends(program: Program, models: Mapping[str, str]) -> None:
    """Register every model under its name."""
    for name, url in models.items():
        program.modelctl("backend", "add", name, url).done()


def add_route(program: Program, name: str, *options: str, backend: str = "old") -> str:
    """A route at /NAME; its path."""
    program.modelctl("route", "add", name, "--path", f"/{name}", "--backend", backend, *options).done()
    return f"/{name}"
