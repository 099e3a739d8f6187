"""Python's HTTP clients behind one face: nothing they would do by themselves (redirects, decoding) is left on.

`ca` is a file with the authority they trust.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, Protocol

import aiohttp
import httpx
import requests

Body = bytes | Iterable[bytes] | BinaryIO | None
PATIENCE = 60.0
_WORKERS = 16


class Got(NamedTuple):
    """One answer: names of fields in lower case, in order; `body` as it was on the wire."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def one(self, name: str) -> str:
        """The value of the field that is there once."""
        (value,) = (value for key, value in self.fields if key == name)
        return value


class Agent(Protocol):
    """One client with its pool of connections. A `body` that is iterable is sent in chunks, a file with its length."""

    def ask(self, method: str, path: str, body: Body = None) -> Got:
        """One request and its whole answer."""

    def ask_many(self, paths: Sequence[str]) -> list[Got]:
        """GET all of them at once."""

    def read(self, path: str) -> Generator[bytes, None, None]:
        """The answer's body piece by piece; whoever closes the iterator leaves."""

    def close(self) -> None:
        """End its connections."""


def _threaded(ask: Callable[[str], Got], paths: Sequence[str]) -> list[Got]:
    with ThreadPoolExecutor(_WORKERS) as workers:
        return list(workers.map(ask, paths))


class HttpxAgent:
    """httpx."""

    def __init__(self, url: str, ca: str = "") -> None:
        self._client = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False, verify=_trusting(ca))

    def ask(self, method: str, path: str, body: Body = None) -> Got:
        with self._client.stream(method, path, content=body) as answer:
            raw = b"".join(answer.iter_raw())
        return Got(answer.status_code, [(name.lower(), value) for name, value in answer.headers.multi_items()], raw)

    def ask_many(self, paths: Sequence[str]) -> list[Got]:
        return _threaded(lambda path: self.ask("GET", path), paths)

    def read(self, path: str) -> Generator[bytes, None, None]:
        with self._client.stream("GET", path) as answer:
            yield from answer.iter_raw()

    def close(self) -> None:
        self._client.close()


class RequestsAgent:
    """requests, on urllib3."""

    def __init__(self, url: str, ca: str = "") -> None:
        self._url = url
        self._session = requests.Session()
        self._session.verify = ca or True
        self._session.trust_env = False
        self._session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=_WORKERS))

    def _open(self, method: str, path: str, body: Body) -> requests.Response:
        return self._session.request(method, self._url + path, data=body, stream=True, allow_redirects=False, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: Body = None) -> Got:
        with self._open(method, path, body) as answer:
            raw = b"".join(answer.raw.stream(1 << 20, decode_content=False))
            return Got(answer.status_code, [(name.lower(), value) for name, value in answer.raw.headers.items()], raw)

    def ask_many(self, paths: Sequence[str]) -> list[Got]:
        return _threaded(lambda path: self.ask("GET", path), paths)

    def read(self, path: str) -> Generator[bytes, None, None]:
        with self._open("GET", path, None) as answer:
            while piece := answer.raw.read1(65_536):
                yield piece

    def close(self) -> None:
        self._session.close()


class AiohttpAgent:
    """aiohttp, on a loop of its own."""

    def __init__(self, url: str, ca: str = "") -> None:
        self._runner = asyncio.Runner()
        self._session = self._runner.run(self._open(url, ca))

    async def _open(self, url: str, ca: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            url,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
            connector=aiohttp.TCPConnector(ssl=_trusting(ca)),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )

    async def _ask(self, method: str, path: str, body: Body = None) -> Got:
        data = body if body is None or isinstance(body, bytes) or hasattr(body, "read") else _spread(body)
        async with self._session.request(method, path, data=data, allow_redirects=False) as answer:
            fields = [(name.decode().lower(), value.decode("latin-1")) for name, value in answer.raw_headers]
            return Got(answer.status, fields, await answer.read())

    def ask(self, method: str, path: str, body: Body = None) -> Got:
        return self._runner.run(self._ask(method, path, body))

    def ask_many(self, paths: Sequence[str]) -> list[Got]:
        async def all_of_them() -> list[Got]:
            return await asyncio.gather(*(self._ask("GET", path) for path in paths))

        return self._runner.run(all_of_them())

    def read(self, path: str) -> Generator[bytes, None, None]:
        answer = self._runner.run(self._get(path))
        try:
            while piece := self._runner.run(answer.content.readany()):
                yield piece
        finally:
            answer.close()
            self._runner.run(asyncio.sleep(0))  # the transport closes in the next turn of its loop

    async def _get(self, path: str) -> aiohttp.ClientResponse:
        return await self._session.get(path)

    def close(self) -> None:
        self._runner.run(self._session.close())
        self._runner.close()


async def _spread(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


def _trusting(ca: str) -> ssl.SSLContext:
    """Trusts the authority in this file, or those of the system."""
    return ssl.create_default_context(cafile=ca or None)


AGENTS: dict[str, Callable[..., Agent]] = {"httpx": HttpxAgent, "requests": RequestsAgent, "aiohttp": AiohttpAgent}
