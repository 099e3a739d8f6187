"""One sample to a backend: what came back, and what its kind makes of it."""

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from modelctl.controlplane.probing import Sample, Trial, probe
from modelctl.errors import InvalidInput
from modelctl.policy import Tls
from modelctl.traffic import Backend


class Model(BaseHTTPRequestHandler):
    """Answers by its path; remembers what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        answers = {
            "/predict": (200, b'{"prediction": "fraud"}'),
            "/echo": (200, msgspec.json.encode({"prediction": f"{self.headers['content-type']} {body.decode()}"})),
            "/moved": (302, b""),
            "/broken": (500, b"no"),
            "/odd": (200, b"<html>"),
        }
        if self.path == "/slow":
            threading.Event().wait(0.6)
            self.close_connection = True
            return
        if self.path == "/reset":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == "/nonsense":
            self.wfile.write(b"what do you want\r\n\r\n")
            self.close_connection = True
            return
        status, answer = answers.get(self.path, (404, b"{}"))
        self.send_response(status)
        self.send_header("content-length", str(len(answer) + (9 if self.path == "/short" else 0)))
        if status == 302:
            self.send_header("location", "/predict")
        self.end_headers()
        self.wfile.write(answer)
        if self.path == "/short":
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name of the base class
        """Silent."""


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def tried(url: str, sample: str = '{"body": {"amount": 1}, "path": "/predict"}', *, response_timeout_ms: int = 5_000) -> Trial:
    backend = Backend(name="m", endpoints=(url,), response_timeout_ms=response_timeout_ms)
    return asyncio.run(probe(backend, msgspec.json.decode(sample, type=Sample)))


class UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        return self.socket.accept()[0], ("unix", 0)


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sample_of(backend: Backend) -> Trial:
    return asyncio.run(probe(backend, msgspec.json.decode('{"text": "x", "path": "/predict"}', type=Sample)))


def test_a_backend_on_a_unix_socket_is_reached() -> None:
    with TemporaryDirectory() as folder, running(UnixServer(f"{folder}/m.sock", Model)):  # type: ignore[arg-type]
        found = sample_of(Backend(name="m", endpoints=(f"unix:{folder}/m.sock",)))
    assert (found.status, found.prediction) == (200, "fraud")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for model.test and its key; nobody but itself vouches for it."""
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "ca.pem"), str(folder / "key.pem")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    names = ["-subj", "/CN=model.test", "-addext", "subjectAltName=DNS:model.test"]
    subprocess.run([*made, *names, "-keyout", files[1], "-out", files[0]], check=True, capture_output=True)
    return files


class SecureServer(ThreadingHTTPServer):
    """Behind TLS, asking for a client's certificate; a handshake that fails is the client's business."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Model)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def secure(certificate: tuple[str, str]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(certificate[0])
    with running(SecureServer(context)) as server:
        yield f"https://127.0.0.1:{server.server_address[1]}"


def test_a_certificate_is_checked_as_the_backend_says(secure: str, certificate: tuple[str, str]) -> None:
    ca, key = certificate

    def trial(**tls: object) -> tuple[int, str]:
        found = sample_of(Backend(name="m", endpoints=(secure,), tls=Tls(**tls)))  # type: ignore[arg-type]
        return found.status, found.failure

    assert trial() == (0, "tls")
    assert trial(ca=ca) == (0, "tls")  # it is for model.test, not for 127.0.0.1
    assert trial(ca=ca, server_name="model.test") == (200, "")
    assert trial(ca=ca, server_name="model.test", certificate=ca, key=key) == (200, "")
    assert trial(verify=False) == (200, "")


def test_a_server_that_wants_a_certificate_and_gets_none_has_refused_the_handshake(certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate[0])
    ca, key = certificate
    with running(SecureServer(context)) as server:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        alone = Tls(ca=ca, server_name="model.test")
        known = Tls(ca=ca, server_name="model.test", certificate=ca, key=key)
        found = [sample_of(Backend(name="m", endpoints=(url,), tls=tls)) for tls in (alone, known)]
    assert found[0].status == 0
    assert found[0].failure in {"tls", "reset"}  # with TLS 1.3 its alert and the end of the connection come together
    assert found[1].status == 200


@pytest.mark.parametrize("tls", [{"ca": "/nowhere/ca.pem"}, {"certificate": "/nowhere/client.pem"}, {"ca": "/etc/hostname"}])
def test_tls_files_that_cannot_be_used_here_are_named_as_such(secure: str, tls: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"cannot use the TLS files of backend 'm' .* at the same paths"):
        sample_of(Backend(name="m", endpoints=(secure,), tls=Tls(**tls)))


def test_a_good_answer_is_explained(model: str) -> None:
    found = tried(model)
    assert (found.status, found.outcome, found.prediction, found.failure, found.problem) == (200, "ok", "fraud", "", "")
    assert found.body_preview == '{"prediction": "fraud"}'
    assert [value.label for value in found.values] == ["fraud"]
    assert found.latency_ms > 0


def test_the_path_goes_behind_the_path_of_the_url(model: str) -> None:
    assert tried(f"{model}/predict", "{}").status == 200
    assert tried(model, "{}").status == 404


def test_a_json_body_is_sent_as_it_is_and_a_text_as_text(model: str) -> None:
    assert tried(model, '{"body": {"a": [1,  2]}, "path": "/echo"}').prediction == 'application/json {"a": [1,  2]}'
    assert tried(model, '{"body": null, "path": "/echo"}').prediction == "application/json null"
    assert tried(model, '{"text": "1,2", "path": "/echo"}').prediction == "text/plain; charset=utf-8 1,2"


def test_a_redirect_is_not_followed(model: str) -> None:
    found = tried(model, '{"path": "/moved"}')
    assert (found.status, found.outcome, found.prediction) == (302, "backend_error", None)


@pytest.mark.parametrize(
    ("path", "status", "outcome", "failure"),
    [
        ("/broken", 500, "backend_error", ""),
        ("/missing", 404, "client_error", ""),
        ("/slow", 0, "timeout", "timeout"),
        ("/reset", 0, "backend_error", "reset"),
        ("/nonsense", 0, "backend_error", "invalid"),
        ("/short", 404, "backend_error", "truncated"),
    ],
)
def test_a_bad_answer_is_called_what_the_router_would_call_it(
    model: str, path: str, status: int, outcome: str, failure: str
) -> None:
    found = tried(model, msgspec.json.encode({"path": path}).decode(), response_timeout_ms=400)
    assert (found.status, found.outcome, found.failure) == (status, outcome, failure)
    assert found.problem


def test_an_answer_without_a_prediction_says_why(model: str) -> None:
    found = tried(model, '{"path": "/odd"}')
    assert (found.outcome, found.prediction) == ("ok", None)
    assert "not JSON" in found.problem


def test_a_backend_that_does_not_listen_is_a_failure_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = tried(f"http://127.0.0.1:{port}")
    assert (found.status, found.failure, found.outcome) == (0, "connect", "backend_error")


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"body": 1, "text": "x"}, "not both"),
        ({"method": "DELETE"}, "GET, POST, PUT"),
        ({"path": "predict"}, "start with '/'"),
        ({"path": "/a b"}, "visible ASCII"),
        ({"path": "/a\r\nx: y"}, "visible ASCII"),
        ({"colour": 1}, "unknown field"),
    ],
)
def test_a_sample_that_cannot_be_sent_is_refused(sample: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words) as caught:
        msgspec.json.decode(msgspec.json.encode(sample), type=Sample)
    assert words == "unknown field" or isinstance(caught.value.__cause__, InvalidInput)
