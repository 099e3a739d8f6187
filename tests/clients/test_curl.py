"""curl through the router."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import GIB
from tests.clients.model_app import ZIPPED, digest, event, pattern
from tests.clients.programs import curl
from tests.clients.test_python_clients import LARGE, file_of

pytestmark = pytest.mark.external("curl")
JSON = ("--header", "Content-Type: application/json")


def test_small_requests_go_over_one_connection(base: str) -> None:
    body = json.dumps({"text": "é"})
    urls = [f"{base}/v1/models/m:predict?n={number}" for number in range(100)]
    seen = curl(*JSON, "--data", body, "--write-out", "\n%{num_connects} %{http_code} %{http_version}\n", *urls).decode()
    lines = seen.splitlines()
    assert lines[0::2] == [body] * 100
    assert lines[1::2] == ["1 200 1.1", *["0 200 1.1"] * 99]


def test_requests_at_once_are_all_answered(base: str, tmp_path: Path) -> None:
    options = ("--parallel", "--parallel-immediate", "--parallel-max", "40")
    curl(*options, "--output", str(tmp_path / "#1"), f"{base}/body/[1000-1100]")
    assert all((tmp_path / str(size)).read_bytes() == pattern(size) for size in range(1_000, 1_101))


def check_upload(base: str, size: int, folder: Path) -> None:
    """curl asks for leave to send a large body: the router gives it, and the server is not asked."""
    path = file_of(folder, size)
    expected = {"size": size, "sha256": digest(size), "expect": None}
    assert (
        json.loads(curl("--header", "Expect: 100-continue", "--upload-file", str(path), f"{base}/digest", "-X", "POST")) == expected
    )
    chunked = ("--header", "Transfer-Encoding: chunked", "--request", "POST", "--upload-file", str(path))
    assert json.loads(curl(*chunked, f"{base}/digest")) == expected


def check_download(base: str, size: int, folder: Path) -> None:
    for url in (f"{base}/body/{size}", f"{base}/body/{size}?chunked=1"):
        curl("--output", str(folder / "download"), url)
        assert (folder / "download").stat().st_size == size
        assert json.loads(curl("--request", "POST", "--upload-file", str(folder / "download"), f"{base}/digest"))[
            "sha256"
        ] == digest(size)


def test_large_bodies_pass_both_ways(base: str, tmp_path: Path) -> None:
    check_upload(base, LARGE, tmp_path)
    check_download(base, LARGE, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gibibyte_passes_both_ways(base: str, tmp_path: Path) -> None:
    check_upload(base, GIB, tmp_path)
    check_download(base, GIB, tmp_path)


def test_leave_to_send_a_body_comes_before_the_body(base: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    curl(
        "--header", "Expect: 100-continue", "--expect100-timeout", "60", "--data", "{}", "--trace-ascii", str(trace), f"{base}/echo"
    )
    lines = trace.read_text().splitlines()
    leave = next(number for number, line in enumerate(lines) if "HTTP/1.1 100 Continue" in line)
    assert leave < next(number for number, line in enumerate(lines) if line.startswith("=> Send data"))


def test_a_body_comes_back_while_it_goes_up(base: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, 8 << 20)
    chunked = ("--header", "Transfer-Encoding: chunked", "--request", "POST", "--upload-file", str(path))
    assert curl(*chunked, f"{base}/mirror") == path.read_bytes()


@pytest.mark.parametrize("server", ["", "aiohttp/", "plain/", "older/"])
def test_a_client_of_http_1_0_gets_whole_answers(base: str, server: str) -> None:
    body = curl("--http1.0", f"{base}/{server}{'body/100000?chunked=1' if not server else 'lines'}")
    assert body == (pattern(100_000) if not server else b"".join(b"%d\n" % number for number in range(100)))
    said = curl("--http1.0", "--data", "{}", "--write-out", "\n%{http_code}", f"{base}/{server}digest")
    assert said.endswith(b"\n200")
    assert json.loads(said.rpartition(b"\n")[0])["size"] == 2


def test_head_a_redirect_and_a_zipped_answer_pass_as_they_are(base: str) -> None:
    fields = curl("--head", f"{base}/body/1000").decode().lower()
    assert fields.startswith("http/1.1 200 ok\r\n")
    assert "content-length: 1000\r\n" in fields
    followed = curl(
        "--location", "--write-out", "%{num_redirects} %{url_effective}", "--output", "/dev/null", f"{base}/redirect/302"
    )
    assert followed.decode() == f"1 {base}/landed?far=1"
    assert curl("--header", "Accept-Encoding: gzip", f"{base}/zipped") == ZIPPED
    assert json.loads(curl("--compressed", f"{base}/zipped")) == {"zipped": "x" * 1_000}


def test_events_come_through(base: str) -> None:
    assert curl("--no-buffer", f"{base}/events?count=100&gap=0.001") == b"".join(map(event, range(100)))


def test_an_answer_that_breaks_off_is_an_error_to_curl(base: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        curl("--max-time", "0.5", f"{base}/events?gap=0.01")
    assert caught.value.returncode == 28  # curl's own time was up: the stream did not end


def test_a_connection_that_the_client_wants_closed_is_closed(base: str) -> None:
    said = curl(
        "--header", "Connection: close", "--include", f"{base}/body/10", f"{base}/body/10", "--write-out", "%{num_connects}"
    )
    assert said.lower().count(b"connection: close\r\n") == 2
    assert said.endswith(b"1")
