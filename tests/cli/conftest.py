"""A small control plane that answers what a test tells it to, over real HTTP, and the program run against it."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from modelctl.cli import main

PROBLEMS = {
    "invalid-input": 422,
    "ambiguous": 422,
    "not-authorised": 401,
    "not-found": 404,
    "conflict": 409,
    "illegal-move": 409,
    "stale-revision": 412,
    "store-error": 503,
    "schema-outdated": 503,
}


class Asked(NamedTuple):
    """One request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Double:
    """Speaks the control API: each (method, path) has a list of answers, of which the last one repeats."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[tuple[int, Any]]] = {}
        double = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                double.handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Tests look at `asked` instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def answers(self, method: str, path: str, *bodies: object, status: int = 200) -> None:
        """From now on `method path` gets these answers, one after the other."""
        self._answers[method, path] = [(status, body) for body in bodies]

    def refuses(self, method: str, path: str, *, code: str, detail: str) -> None:
        """From now on `method path` gets an RFC 9457 problem."""
        problem = {"type": f"urn:modelctl:error:{code}", "title": code, "status": PROBLEMS[code], "detail": detail, "code": code}
        self.answers(method, path, problem, status=PROBLEMS[code])

    @property
    def changes(self) -> list[Asked]:
        """The requests that could have changed something."""
        return [asked for asked in self.asked if asked.method != "GET"]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Writes down the request and answers it."""
        parts = urlsplit(handler.path)
        raw = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = json.loads(raw) if raw else None
        self.asked.append(Asked(handler.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
        waiting = self._answers.get((handler.command, parts.path))
        status, answer = (501, {"detail": f"unscripted {handler.command} {parts.path}"}) if not waiting else waiting[0]
        if waiting and len(waiting) > 1:
            waiting.pop(0)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json" if status < 400 else "application/problem+json")
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        """Stops listening; from then on the control plane is unreachable."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Ran(NamedTuple):
    """What one run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout, which must be JSON and nothing else."""
        value: dict[str, Any] = json.loads(self.out)
        return value


Run = Callable[..., Ran]


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    double = Double()
    monkeypatch.setenv("MODELCTL_URL", double.url)
    monkeypatch.delenv("MODELCTL_KEY", raising=False)
    yield double
    double.close()


@pytest.fixture
def modelctl(capsys: pytest.CaptureFixture[str], tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(int(code), captured.out, captured.err)

    return run
