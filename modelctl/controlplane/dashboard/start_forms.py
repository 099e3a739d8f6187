"""The forms that start a rollout: the fields of each strategy, the order they make, and the command that asks for the same. Pure.

Fields are typed as on a command line: `5%`, `20!,50`, `10m`; one that is empty was not given.
"""

import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from modelctl.conduct import AtEnd, Engine, Mode
from modelctl.errors import InvalidInput
from modelctl.quantity import basis_points, rungs, shares, whole_milliseconds

Fields = Mapping[str, str]


class Field(NamedTuple):
    """One field: its name (that of the option), what is asked, an example, and the choices where there are some."""

    name: str
    label: str
    example: str = ""
    choices: tuple[str, ...] = ()


class Form(NamedTuple):
    """A strategy's form. `candidates` says how many: one, several, or "arms" when each has its share."""

    title: str
    promise: str
    candidates: str
    fields: tuple[Field, ...]
    parameters: Callable[[Fields], dict[str, Any]]


class Order(NamedTuple):
    """A filled form: the body of the API's call, and the command."""

    body: dict[str, Any]
    command: str


_PERCENT = Field("percent", "Share of the requests it answers", "5%")
_SHADOW = Field("shadow-percent", "Share of the rest that it is shown as well", "20%")
_BAKE = Field("bake", "How long each step lasts at least", "10m")
TERMS = (
    Field("mode", "Who moves it on", choices=("", *Mode)),
    _BAKE,
    Field("min-n", "No promotion before so many requests and pairs", "1000"),
    Field("max-n", "Inconclusive after so many", "200000"),
    Field("min-time", "No promotion before", "1h"),
    Field("max-time", "Inconclusive after", "7d"),
    Field("for", "It is over after", "7d"),
    Field("max-shown", "Most requests the candidates are shown", "100000"),
    Field("watch", "How long a promotion may be taken back by itself", "1d"),
    Field("approvals", "Other people who must approve", "1"),
    Field("ceiling", "Largest share that automation raises to", "50%"),
    Field("at-end", "What becomes of it when it is inconclusive", choices=("", *AtEnd)),
    Field("engine", "When the evidence is looked at", choices=("", *Engine)),
    Field("looks", "Planned looks of the engine gst", "4"),
)


def _canary(fields: Fields) -> dict[str, Any]:
    found = rungs(fields["percent"] or None, fields["steps"] or None)
    if not found:
        raise InvalidInput("say how much the candidate answers: a percent such as 5, or steps such as 1,5,20,50")
    return found | _given(fields, {"shadow-percent": "shadow_bp"})


def _shadow(fields: Fields) -> dict[str, Any]:
    found = {"percent_bp": basis_points(fields["percent"] or "100")} | _given(fields, {"noise-control": "noise_bp"})
    return found | ({"max_inflight": _whole("max-inflight", fields)} if fields["max-inflight"] else {})


def _blue_green(fields: Fields) -> dict[str, Any]:
    return _given(fields, {"percent": "percent_bp", "shadow-percent": "shadow_bp"})


def _ab(fields: Fields) -> dict[str, Any]:
    return {"shares_bp": shares(fields["candidates"].split())}


def _given(fields: Fields, names: Mapping[str, str]) -> dict[str, Any]:
    return {parameter: basis_points(fields[name]) for name, parameter in names.items() if fields[name]}


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "canary": Form(
            "Canary",
            "The candidate answers a share of the requests, step by step.",
            "one",
            (_PERCENT, Field("steps", "Later shares; behind a ! only a person goes on", "20!,50"), _SHADOW),
            _canary,
        ),
        "shadow": Form(
            "Shadow",
            "Candidates are shown requests and compared. Clients never get their answers.",
            "several",
            (
                Field("percent", "Share of the requests they are shown", "100%"),
                Field("noise-control", "Share of it that the baseline is asked again: its own noise", "5%"),
                Field("max-inflight", "Most shown requests at a time", "256"),
            ),
            _shadow,
        ),
        "blue-green": Form(
            "Blue-green",
            "The candidate is reachable at a preview address; one step then gives it everything.",
            "one",
            (Field("percent", "Share it answers before the switch", "1%"), _SHADOW),
            _blue_green,
        ),
        "ab": Form(
            "A/B test",
            "The requests are split between two or more backends. The baseline is one of them.",
            "arms",
            (),
            _ab,
        ),
    }
)


def names_of(form: Form) -> tuple[str, ...]:
    """Every field of the form."""
    return ("candidates", "gates", "reason", "actor", "force", *(field.name for field in (*form.fields, *TERMS)))


def order_of(strategy: str, route: str, *, fields: Fields) -> Order:
    """The order; what is not valid is said by the field's own words. Raises InvalidInput."""
    form = FORMS[strategy]
    body: dict[str, Any] = {"strategy": strategy, "route": route, "parameters": form.parameters(fields)}
    if form.candidates != "arms":
        body["candidates"] = fields["candidates"].split()
    gates = [line.strip() for line in fields["gates"].splitlines() if line.strip()]
    conduct = _conduct(fields)
    body |= ({"gates": gates} if gates else {}) | ({"conduct": conduct} if conduct else {})
    return Order(body | ({"force": True} if fields["force"] else {}), command_of(strategy, route, fields=fields))


def command_of(strategy: str, route: str, *, fields: Fields) -> str:
    """What a person types for the same."""
    words = ["modelctl", strategy, route, *fields["candidates"].split()]
    options = [(field.name, fields[field.name]) for field in FORMS[strategy].fields]
    if strategy == "shadow":
        options = [(name, value or "100") if name == "percent" else (name, value) for name, value in options]
    options += [("gate", line.strip()) for line in fields["gates"].splitlines()]
    options += [(field.name, fields[field.name]) for field in TERMS]
    options += [("reason", fields["reason"])]
    typed = [part for name, value in options if value for part in (f"--{name}", shlex.quote(value))]
    return " ".join([*map(shlex.quote, words), *typed, *(["--force"] if fields["force"] else [])])


_TIMES = {"bake": "bake_ms", "min-time": "min_ms", "max-time": "max_ms", "for": "for_ms", "watch": "watch_ms"}
_COUNTS = {"min-n": "min_n", "max-n": "max_n", "max-shown": "max_shown", "approvals": "approvals", "looks": "looks"}
_WORDS = {"mode": "mode", "at-end": "at_end", "engine": "engine"}


def _conduct(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {name: fields[field] for field, name in _WORDS.items() if fields[field]}
    found |= {name: whole_milliseconds(fields[field]) for field, name in _TIMES.items() if fields[field]}
    found |= {name: _whole(field, fields) for field, name in _COUNTS.items() if fields[field]}
    return found | _given(fields, {"ceiling": "ceiling_bp"})


def _whole(name: str, fields: Fields) -> int:
    if not fields[name].isdecimal() or len(fields[name]) > 15:
        raise InvalidInput(f"{name} is a whole number, such as 1000, not {fields[name]!r}")
    return int(fields[name])
