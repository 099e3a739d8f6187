"""The one table from errors to HTTP: RFC 9457 problems with a `code` for programs. An error nobody foresaw is logged, not shown."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from modelctl.errors import (
    Conflict,
    Corrupt,
    InvalidInput,
    ModelctlError,
    NotAuthorised,
    NotFound,
    StaleRevision,
    StoreError,
)

log = logging.getLogger("modelctl.controlplane")

# The first class that fits is taken, so a class stands before the classes it inherits from.
STATUSES: Mapping[type[ModelctlError], HTTPStatus] = MappingProxyType(
    {
        InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
        NotFound: HTTPStatus.NOT_FOUND,
        StaleRevision: HTTPStatus.PRECONDITION_FAILED,
        Conflict: HTTPStatus.CONFLICT,
        NotAuthorised: HTTPStatus.UNAUTHORIZED,
        StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
        Corrupt: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)

CODES = {
    400: "malformed",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}

# What Starlette itself says about these is only their title again.
_DETAILS = {
    404: "there is nothing at this path; /openapi.json lists what there is",
    405: "this path does not take this method; /openapi.json lists what it takes",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457. `commands` are the lines of the detail that a person can run."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    commands: tuple[str, ...] = ()


class Refused(HTTPException):
    """A request that is refused before anything is asked of the operations: too large, not JSON, from another site."""


def problem_for(error: Exception) -> Problem:
    """The problem that tells of the error."""
    if isinstance(error, ModelctlError):
        status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        return problem(status, error.code, detail=str(error))
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return problem(status, CODES.get(status.value, "error"), detail=_DETAILS.get(status.value, error.detail))
    log.error("a request failed in a way nobody foresaw", exc_info=error)
    detail = "the control plane failed in a way nobody foresaw; its log says more, and nothing was half done"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail=detail)


def problem(status: HTTPStatus, code: str, *, detail: str) -> Problem:
    """A problem with this status and code."""
    commands = tuple(line.strip() for line in detail.splitlines()[1:] if line.strip().startswith("modelctl "))
    return Problem(
        type=f"urn:modelctl:error:{code}", title=status.phrase, status=status.value, detail=detail, code=code, commands=commands
    )


def problem_response(error: Exception) -> Response:
    """The answer to a request that raised `error`."""
    found = problem_for(error)
    headers = dict(getattr(error, "headers", None) or {})
    if found.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if found.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "2"
    return Response(msgspec.json.encode(found), found.status, headers, media_type="application/problem+json")
