"""Cases as data: what is sent, what may be answered, what the backend may get.

A file of cases is TOML: an array `rule`. A rule says what holds, for every one of its cases; a case is a name, what it puts
in place of `{}` in the rule's bytes, and the initials of the proxies that refuse it (nginx, haproxy, caddy, envoy).
In bytes, the end of a line is CR LF; `\\n`, `\\r`, `\\t` and `\\xHH` are the bytes they name.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

FOLDER = Path(__file__).parent
BASE = "/m"  # the path of most cases


class Do(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a script that is more than bytes; the first field that is set is the step.

    For both sides `bytes` `times` over, or `pause` seconds. For the client: `random` bytes from a seed, `chunks` of as many
    random bytes in all, `bytewise` (the rest goes out byte by byte), `await_answer`, `await_continue`, `half_close`, `leave`,
    `again` (a new connection). For the backend: `close`, `reset`, `hang` until the router leaves.
    """

    bytes: str = ""
    times: int = 1
    pause: float = 0.0
    random: int = 0
    chunks: int = 0
    bytewise: bool = False
    await_answer: bool = False
    await_continue: bool = False
    half_close: bool = False
    leave: bool = False
    again: bool = False
    close: bool = False
    reset: bool = False
    hang: bool = False


Step = str | Do


class BackendScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the backend does about requests whose target begins with `path`: after the whole request, or after its head."""

    steps: list[Step]
    path: str = BASE
    early: bool = False


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule and its cases. What is not set is not asked for.

    `expect` sets the rest for the usual outcomes: `refused` is 400 (or `statuses`) and a close, and nothing complete forwarded;
    `passed` is one 200 to one forwarded request; `either` is one or the other. `policy` says why we are stricter than all four
    proxies, `reason` why we are more lenient than three of them.
    """

    says: str
    source: str
    cases: list[tuple[str, str, str]]
    send: list[Step] | str
    expect: Literal["refused", "passed", "either", "said"] = "said"
    policy: str = ""
    client: str = "127.0.0.1"
    backend: list[BackendScript] = []
    # what the client gets
    statuses: list[int] = []  # the first final answer has one of these
    answers: list[list[int]] = []  # all final answers have one of these sequences
    bodies: list[str] | None = None  # of all answers
    answer_has: dict[str, str] = {}
    answer_values: dict[str, list[str]] = {}
    answer_lacks: list[str] = []
    never_answered: list[str] = []  # bytes that are nowhere in what the client gets
    interim: list[int] | None = None
    closes: bool | None = None
    cut: bool = False  # the answer ends without its end, or is a 5xx
    silent_ok: bool = False  # to end without an answer, or to wait for more, is as good
    within: float = 0.0  # seconds to the first answer or close
    patience: float = 3.0
    # what the backend gets
    forwarded: int | None = None
    has: dict[str, str] = {}  # exactly one line, with this value
    values: dict[str, list[str]] = {}  # exactly these lines
    holds: dict[str, str] = {}  # somewhere in the value
    hides: dict[str, str] = {}
    lacks: list[str] = []
    target: str | None = None
    body: str | None = None
    same_body: bool = False  # all random bytes of the client, in order
    never_asked: list[str] = []  # bytes that are nowhere in what the backend gets outside a body
    same_id: bool = False  # one X-Request-Id on both sides


class Case(msgspec.Struct, frozen=True):
    """One case of a rule."""

    group: str
    name: str
    put: bytes
    refused_by: str
    rule: Rule

    @property
    def id(self) -> str:
        """Unique among all cases."""
        return f"{self.group}: {self.name}"


def wire(text: str) -> bytes:
    """The bytes that a text of a file of cases stands for."""
    return text.replace("\r", "").replace("\n", "\\r\\n").encode("latin-1").decode("unicode_escape").encode("latin-1")


def read_rules(path: Path) -> list[Rule]:
    """The rules of one file. Raises msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8"))["rule"], list[Rule])


def read_cases() -> Iterator[Case]:
    """Every case of every file."""
    for path in sorted(FOLDER.glob("*.toml")):
        for rule in read_rules(path):
            for name, put, refused_by in rule.cases:
                yield Case(path.stem, name, wire(put), refused_by, rule)
