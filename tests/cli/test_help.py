"""Every command explains itself."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import typer

from modelctl.cli import app

if TYPE_CHECKING:
    from tests.cli.conftest import Run

ROOT = typer.main.get_group(app)


def leaves(command: typer.core.TyperGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that does something, the aliases too."""
    for name, child in command.commands.items():
        path = (*words, name)
        yield from leaves(child, path) if isinstance(child, typer.core.TyperGroup) else [path]


COMMANDS = list(leaves(ROOT))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_sentence_and_two_examples_of_itself(modelctl: "Run", words: tuple[str, ...]) -> None:
    ran = modelctl(*words, "--help")
    alias = {"abort": "rollback", "undo": "rollback"}
    examples = re.findall(r"\$ (.+)", ran.out)
    assert ran.code == 0
    assert len(examples) == 2
    for example in examples:
        assert " ".join(alias.get(word, word) for word in words) in example.replace("--version", "version")
    assert re.search(r"Usage: modelctl .+\n\s*\n\s*[A-Z][^.]+\.", ran.out)


def test_the_commands_of_this_version_are_all_there() -> None:
    wanted = [
        "serve",
        "router",
        "recorder",
        "controlplane",
        "demo",
        "doctor",
        "version",
        "plan",
        "verify",
        "canary",
        "shadow",
        "blue-green",
        "ab",
        "status",
        "list",
        "report",
        "advance",
        "promote",
        "approve",
        "complete",
        "pause",
        "resume",
        "rollback",
        "abort",
        "undo",
        "history",
        "predictions",
        "export",
        "import",
        "replay",
    ]
    assert {words[0] for words in COMMANDS if len(words) == 1} == set(wanted)
    assert {words for words in COMMANDS if len(words) == 2} == {
        *((("backend", verb)) for verb in ("add", "set", "list", "show", "test", "remove")),
        *((("route", verb)) for verb in ("add", "set", "list", "show", "remove")),
        *((("decision", verb)) for verb in ("list", "bundle")),
        *((("rule", verb)) for verb in ("add", "list", "remove")),
        *((("freeze", verb)) for verb in ("add", "list", "remove")),
        *((("evidence", verb)) for verb in ("quarantine", "show", "requeue")),
        ("feedback", "send"),
        ("feedback", "import"),
        ("db", "upgrade"),
        ("db", "current"),
        ("db", "prune"),
        ("db", "check"),
        ("db", "backup"),
    }
    assert {words for words in COMMANDS if len(words) == 3} == {
        *(("route", "key", verb) for verb in ("add", "list", "revoke")),
        *(("route", noun, verb) for noun in ("metric", "dimension") for verb in ("add", "list", "remove")),
    }


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[0] not in {"serve", "router", "recorder", "controlplane"}], ids=" ".join
)
def test_a_flag_that_no_command_has_is_a_usage_error(modelctl: "Run", words: tuple[str, ...]) -> None:
    ran = modelctl(*words, "--no-such-flag")
    assert ran.code == 2
    assert ran.out == ""
    assert "--no-such-flag" in ran.err


def test_a_command_that_does_not_exist_is_a_usage_error_that_names_the_near_one(modelctl: "Run") -> None:
    ran = modelctl("statsu")
    assert ran.code == 2
    assert "status" in ran.err
