"""What a control plane answers about a shadow, as its own values, and how tests change and encode them."""

import json
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from modelctl.controlplane.judgement.funnel import Funnel, Loss

if TYPE_CHECKING:
    from tests.cli.conftest import Run

Value = TypeVar("Value", bound=msgspec.Struct)

FUNNEL = Funnel(
    candidate="fraud-v7",
    eligible=1_000,
    sampled=990,
    sent=980,
    answered=975,
    parsed=970,
    paired=980,
    skipped={"inflight": 10},
    losses=(Loss("sent", 10, "the candidate's limit of shown requests in flight was reached (max_inflight)"),),
)


def replaced(value: Value, **changed: object) -> Value:
    return msgspec.structs.replace(value, **changed)


def answer(value: msgspec.Struct) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(value))
    return decoded


def coloured_only_on_demand(modelctl: "Run", words: tuple[str, ...], *, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the command colours what is piped, or does not when that is forced, or does against NO_COLOR."""
    assert "\x1b" not in modelctl(*words).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in modelctl(*words).out
    monkeypatch.setenv("NO_COLOR", "1")
    out = modelctl(*words).out
    assert not any(f"\x1b[{code}" in out or f";{code}" in out for code in range(30, 38))
