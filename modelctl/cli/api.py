"""The control API over HTTP: requests out, JSON or an error of `modelctl.errors` back."""

import getpass
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from modelctl.cli.option_names import as_typed
from modelctl.cli.patience import patience
from modelctl.errors import (
    Ambiguous,
    Conflict,
    ControlPlaneUnreachable,
    Corrupt,
    GateNotPassed,
    IllegalMove,
    InvalidInput,
    InvalidTable,
    ModelctlError,
    NotAuthorised,
    NotFound,
    SchemaOutdated,
    StaleRevision,
    StoreError,
)

T = TypeVar("T")

# Every answer of the control API is an object.
Json = dict[str, Any]

# A verb answers when the routers have taken the new table, or when the control plane has given up on one of them.
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_BY_STATUS: Mapping[int, type[ModelctlError]] = {
    400: InvalidInput,
    401: NotAuthorised,
    403: NotAuthorised,
    404: NotFound,
    405: NotFound,
    409: Conflict,
    412: StaleRevision,
    413: InvalidInput,
    415: InvalidInput,
    422: InvalidInput,
    428: StaleRevision,
}

_BY_CODE: Mapping[str, type[ModelctlError]] = {
    kind.code: kind
    for kind in (
        InvalidInput,
        InvalidTable,
        Ambiguous,
        NotFound,
        Conflict,
        IllegalMove,
        GateNotPassed,
        StaleRevision,
        NotAuthorised,
        StoreError,
        SchemaOutdated,
        Corrupt,
    )
}


class Problem(msgspec.Struct, frozen=True):
    """What the CLI reads of an RFC 9457 problem."""

    title: str = ""
    detail: str = ""
    code: str = ""


class Api:
    """One control plane. Every method raises an error of `modelctl.errors`, or an httpx error when nothing answers."""

    def __init__(self, url: str, *, key: str = "") -> None:
        self.url = checked_url(url)
        headers = {"accept": "application/json", "modelctl-actor": actor()}
        if key:
            headers["authorization"] = f"Bearer {_checked_key(key)}"
        # A proxy of the environment is for other machines: it cannot reach this one's loopback.
        loopback = urlsplit(self.url).hostname in _LOOPBACK
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT, trust_env=not loopback)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int | None) -> Json:
        """The object at `path`. Query fields that are None or empty are left out."""
        return _object(self._answer("GET", path, query=query))

    def text(self, path: str, **query: str | int | None) -> str:
        """What stands at `path` when it is no JSON."""
        return self._answer("GET", path, query=query).text

    def post(self, path: str, body: object, *, revision: int | None = None) -> Json:
        """What the control plane answers to `body`. With a `revision`, only if that is still the current one."""
        return _object(self._answer("POST", path, body=msgspec.json.encode(body), headers=_change_headers(revision)))

    def patch(self, path: str, body: object, *, revision: int | None = None) -> Json:
        """What the control plane answers to a change. With a `revision`, only if that is still the current one."""
        return _object(self._answer("PATCH", path, body=msgspec.json.encode(body), headers=_change_headers(revision)))

    def delete(self, path: str) -> Json:
        """What the control plane answers to removing `path`; empty for an empty answer."""
        return _object(self._answer("DELETE", path))

    def lines(self, path: str, **query: str | int | None) -> Iterator[bytes]:
        """The lines of an NDJSON stream as they come, with their ends. Raises ControlPlaneUnreachable where it breaks off."""
        params = _given(query)
        rest = b""
        try:
            with self._client.stream("GET", path, params=params) as response:
                if not response.is_success:
                    response.read()
                    raise problem_error(response)
                for piece in response.iter_bytes():
                    *whole, rest = (rest + piece).split(b"\n")
                    yield from (line + b"\n" for line in whole)
        except httpx.TransportError as error:
            raise ControlPlaneUnreachable(f"the control plane at {self.url} does not answer: {_reason(error)}") from error

    def send(self, path: str, pieces: Iterator[bytes], **query: str | int | None) -> Json:
        """What the control plane answers to an NDJSON stream."""
        headers = {"content-type": "application/x-ndjson"}
        return _object(self._answer("POST", path, query=query, body=pieces, headers=headers))

    def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            with patience(f"waiting for {self.url}"):
                response = self._client.request(method, path, params=_given(query or {}), content=body, headers=headers)
        except httpx.TransportError as error:
            raise ControlPlaneUnreachable(f"the control plane at {self.url} does not answer: {_reason(error)}") from error
        if not response.is_success:
            raise problem_error(response)
        return response


def _given(query: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None and value != ""}


def checked_url(url: str) -> str:
    """`url` without a slash at its end. Raises InvalidInput unless it is http or https and names a host."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise InvalidInput(f"{url!r} is no URL of a control plane: write it like http://127.0.0.1:8900 (--url or MODELCTL_URL)")
    return url.rstrip("/")


def _checked_key(key: str) -> str:
    if not all("!" <= character <= "~" for character in key):
        raise InvalidInput("MODELCTL_KEY holds a character a key cannot have: visible ASCII only, no spaces")
    return key


def actor() -> str:
    """Who the history names: the user of the operating system, or `anonymous` when it has no name for one."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return "anonymous"
    return name.encode("ascii", "replace").decode() or "anonymous"


def problem_error(response: httpx.Response) -> ModelctlError:
    """The error that an answer with a status of 400 or more stands for: by its code, else by its status. It speaks of options."""
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        problem = Problem()
    sentence = problem.detail or problem.title or f"the control plane answered {response.status_code} {response.reason_phrase}"
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(response.status_code, ModelctlError)
    return kind(as_typed(sentence))


def _change_headers(revision: int | None) -> dict[str, str]:
    return {"content-type": "application/json"} | ({} if revision is None else {"if-match": f'"{revision}"'})


def _object(response: httpx.Response) -> Json:
    if not response.content:
        return {}
    try:
        return msgspec.json.decode(response.content, type=Json)
    except msgspec.DecodeError as error:
        raise ModelctlError(
            f"{response.url} answered something that is not a JSON object ({error}): is this a modelctl control plane?"
        ) from error


def read(value: object, kind: type[T]) -> T:
    """`value` of an answer as `kind`; fields that `kind` does not have are left out. Raises ModelctlError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ModelctlError(
            f"the control plane answered something this program does not understand ({error}): they are of other versions; "
            "compare `modelctl version` on both machines"
        ) from error


def read_items(page: Json, kind: type[T]) -> list[T]:
    """The items of a list of the API."""
    return [read(item, kind) for item in read(page.get("items"), list)]


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    return str(error) or type(error).__name__
