"""Streams with all that sums are made of: sticky units, failures, timeouts, numbers, the same questions again, second copies."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from modelctl.conduct import Conduct
from modelctl.evidence import SENT, Answer, Compared, Context, Request, Served
from modelctl.metric import Dimension, DimensionSource, Field, FieldType
from modelctl.store import schema
from modelctl.traffic import Role
from tests.recorder.stream import START, declare, register, rows

FIELDS = (Field(name="risk", path="/risk"), Field(name="sure", path="/sure", type=FieldType.FLAG))
DIMENSIONS = (
    Dimension(name="country", source=DimensionSource.HEADER, place="x-country"),
    Dimension(name="amount", source=DimensionSource.REQUEST, place="/amount", cuts=(3,)),
)
Sums = dict[tuple[object, ...], tuple[float, ...]]


def sticky(url: str, *, deduplicate: bool = True) -> None:
    """A rollout of `old` and `new` whose units are users, with fields and dimensions of its own."""
    register(url)
    conduct = Conduct(deduplicate=deduplicate)
    declare(url, unit="header:x-user", fields=FIELDS, dimensions=DIMENSIONS, conduct=conduct)


def copied(template: Path, number: int) -> str:
    """A database like `template`, of its own."""
    path = template.with_name(f"{template.stem}-{number}.db")
    shutil.copy(template, path)
    return f"sqlite:///{path}"


def template(folder: Path) -> Path:
    """A SQLite database with a `sticky` rollout, to copy."""
    path = folder / "template.db"
    schema.upgrade(f"sqlite:///{path}")
    sticky(f"sqlite:///{path}")
    return path


def request(number: int, given: Answer, *, user: str = "", amount: int = 1, shown: Sequence[str] = ()) -> Served:
    """The `number`-th request, of a user who pays an amount, from a country that follows from the number."""
    arm = given.backend
    role = Role.BASELINE if arm == "old" else Role.CANDIDATE
    context = Context("fraud", 1, 1, 7, role, "split", 9_000, user.encode())
    body = json.dumps({"amount": amount}).encode()
    headers = ((b"x-country", b"de" if number % 3 else b"fr"),)
    asked = Request(b"POST", b"/fraud", b"application/json", b"", body, len(body), headers)
    at = START + 65_000_000 + number * 7_000_000
    fates = tuple((name, SENT) for name in shown)
    return Served(number.to_bytes(16, "big"), f"r{number}".encode(), at, context, asked, given, fates)


def said(arm: str, prediction: object, *, risk: object = 0.25, sure: bool = True, score: float = 0.75) -> Answer:
    """An answer of `arm` with the declared fields and the probability of its label."""
    body = json.dumps({"prediction": prediction, "risk": risk, "sure": sure, "score": score}).encode()
    return Answer(arm, 200, "", 1_500, 700, b"application/json", b"", body, len(body))


def failed(arm: str, failure: str = "reset") -> Answer:
    """No answer."""
    return Answer(arm, 0, failure, 900, 0, b"", b"", b"", 0)


def lively(seed: int, count: int) -> list[Served | Compared]:
    """A stream of `count` requests, some of them shown to `new`, some of those to a second copy of `old` as well."""
    chance = random.Random(seed)
    records: list[Served | Compared] = []
    for number in range(1, count + 1):
        arm = "new" if chance.random() < 0.3 else "old"
        user = f"u{chance.randrange(5)}" if chance.random() < 0.9 else ""
        shown = [] if arm == "new" else [name for name in ("new", "old") if chance.random() < 0.5]
        first = request(number, _any(chance, arm), user=user, amount=chance.randrange(6), shown=shown)
        records.append(first)
        records += [Compared(first, _any(chance, name)) for name in shown]
    return records


def _any(chance: random.Random, arm: str) -> Answer:
    draw = chance.random()
    if draw < 0.1:
        return failed(arm, "timeout")
    if draw < 0.2:
        return failed(arm)
    prediction: object = chance.choice(["yes", "no", 0.5, 1.25, 7.5])
    risk: object = chance.choice([0.25, 0.5, 2, float("nan"), "high", None])
    return said(arm, prediction, risk=risk, sure=chance.random() < 0.5, score=chance.choice([0.5, 0.75, 1.0]))


def all_sums(url: str) -> Sums:
    """Every sum by what it is about; those that came to nothing are left out."""
    found: Sums = {}
    for row in rows(url, "rollup"):
        key = tuple(row[name] for name in ("stage", "arm", "metric", "key", "minute"))
        values = tuple(round(float(row[name]), 6) + 0.0 for name in ("n", "k", "s1", "s2", "sp"))
        if any(values):
            found[key] = values
    return found


def over_minutes(url: str, metric: str) -> dict[tuple[str, str], tuple[float, ...]]:
    """A metric's sums by arm and key."""
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    for (_stage, arm, name, key, _minute), values in all_sums(url).items():
        if name == metric:
            before = found.get((str(arm), str(key)), (0.0,) * 5)
            found[str(arm), str(key)] = tuple(a + b for a, b in zip(before, values, strict=True))
    return found
