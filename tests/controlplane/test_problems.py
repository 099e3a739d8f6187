"""The one table from errors to HTTP."""

import logging
from collections.abc import Iterator

import msgspec
import pytest
from starlette.exceptions import HTTPException

from modelctl import errors
from modelctl.controlplane.api.problems import Problem, Refused, problem_for, problem_response
from modelctl.errors import ModelctlError


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidInput("x"), 422, "invalid-input"),
        (errors.InvalidTable("x"), 422, "invalid-table"),
        (errors.Ambiguous("x"), 422, "ambiguous"),
        (errors.NotFound("x"), 404, "not-found"),
        (errors.Conflict("x"), 409, "conflict"),
        (errors.IllegalMove("x"), 409, "illegal-move"),
        (errors.StaleRevision("x"), 412, "stale-revision"),
        (errors.NotAuthorised("x"), 401, "not-authorised"),
        (errors.StoreError("x"), 503, "store-error"),
        (errors.SchemaOutdated("x"), 503, "schema-outdated"),
        (errors.Corrupt("x"), 500, "corrupt"),
        (Refused(400, "x"), 400, "malformed"),
        (Refused(413, "x"), 413, "too-large"),
        (Refused(415, "x"), 415, "unsupported-media-type"),
        (Refused(403, "x"), 403, "forbidden"),
        (HTTPException(404), 404, "not-found"),
        (HTTPException(405), 405, "method-not-allowed"),
    ],
)
def test_every_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    found = problem_for(error)
    assert (found.status, found.code, found.type) == (status, code, f"urn:modelctl:error:{code}")


def kinds(root: type[ModelctlError]) -> Iterator[type[ModelctlError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def test_every_error_of_the_tree_keeps_its_own_code_on_the_way_out() -> None:
    for kind in kinds(ModelctlError):
        error = kind(["x"]) if kind is errors.InvalidSettings else kind("x")
        assert problem_for(error).code == kind.code


def test_the_commands_in_a_message_are_listed_for_programs() -> None:
    found = problem_for(errors.Ambiguous("name one:\n  modelctl shadow a\n  modelctl shadow b"))
    assert found.commands == ("modelctl shadow a", "modelctl shadow b")


def test_what_nobody_foresaw_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="modelctl.controlplane"):
        found = problem_for(RuntimeError("the secret of /etc/shadow"))
    assert (found.status, found.code) == (500, "internal")
    assert "secret" not in found.detail
    assert "the secret of /etc/shadow" in caplog.text


def test_a_problem_is_sent_as_rfc_9457_says() -> None:
    response = problem_response(errors.NotAuthorised("who are you"))
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == "Bearer"
    assert msgspec.json.decode(bytes(response.body), type=Problem).detail == "who are you"


def test_a_dead_database_says_when_to_come_back() -> None:
    assert problem_response(errors.StoreError("gone")).headers["retry-after"] == "2"
