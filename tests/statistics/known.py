"""The known answers and what gives them: each known_*.py registers its functions, each known_answers*.json has their cases."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answers = dict[str, Any]
Method = Callable[[Answers], Answers]

CASES: list[Answers] = [
    case for path in sorted(Path(__file__).parent.glob("known_answers*.json")) for case in json.loads(path.read_text())
]
_METHODS: dict[str, Method] = {}


def answers(prefix: str) -> Callable[[Method], Method]:
    """Say which cases a function answers, by the start of their id."""

    def register(method: Method) -> Method:
        assert prefix not in _METHODS, f"two functions answer {prefix}"
        _METHODS[prefix] = method
        return method

    return register


def method_of(case: str) -> Method:
    """The function whose prefix fits the id best."""
    return _METHODS[max((prefix for prefix in _METHODS if case.startswith(prefix)), key=len)]


def differences(got: Answers, case: Answers) -> dict[str, tuple[object, object]]:
    """What was got and what was wanted, where they are further apart than the case allows."""
    return {
        name: (got[name], wanted)
        for name, wanted in case["expected"].items()
        if not _agrees(got[name], wanted, rtol=case["rtol"], atol=case["atol"])
    }


def _agrees(got: object, wanted: object, *, rtol: float, atol: float) -> bool:
    if isinstance(wanted, list):
        assert isinstance(got, list | tuple)
        return len(got) == len(wanted) and all(
            _agrees(one, other, rtol=rtol, atol=atol) for one, other in zip(got, wanted, strict=True)
        )
    if isinstance(wanted, dict):
        assert isinstance(got, dict)
        return got.keys() == wanted.keys() and all(_agrees(got[name], wanted[name], rtol=rtol, atol=atol) for name in wanted)
    if wanted == "nan":
        return got is None or got == wanted
    if isinstance(wanted, str | bool) and wanted not in ("inf", "-inf"):
        return bool(got == wanted)
    if got is None:
        return False
    if isinstance(wanted, str):
        return float(str(got)) == float(wanted)
    assert isinstance(wanted, int | float)
    return abs(float(str(got)) - wanted) <= atol + rtol * abs(wanted)
