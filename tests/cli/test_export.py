"""An export over connections that break."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from modelctl.cli import main

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"


def line(number: int) -> bytes:
    return json.dumps({"cursor": f"{number}:a", "at": number}).encode() + b"\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextmanager
def breaking(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one of `answers` to each connection and closes it, and after the last one listens no more."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65_536).split(b"\r\n", 1)[0])
                connection.sendall(answer)
        listener.close()

    thread = Thread(target=run)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    thread.join(timeout=30)


def test_a_broken_stream_is_gone_on_with_behind_its_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    first = HEAD + chunk(line(1) + line(2) + line(3)[:5])
    with breaking(first, HEAD + chunk(line(3)) + b"0\r\n\r\n") as (url, asked):
        assert main(["export", "fraud", "--output", str(file), "--url", url]) == 0
    assert file.read_bytes() == line(1) + line(2) + line(3)
    assert b"after=" not in asked[0]
    assert b"after=2%3Aa" in asked[1]


def test_an_export_that_stays_broken_says_where_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows"
    with breaking(HEAD + chunk(line(1) + line(2))) as (url, _):
        assert main(["export", "fraud", "--output", str(file), "--url", url]) == 6
    assert not file.exists()
    assert (tmp_path / "rows.part").read_bytes() == line(1) + line(2)
    said = capsys.readouterr().err
    assert "--after 2:a" in said
    with breaking(HEAD + chunk(line(3)) + b"0\r\n\r\n") as (url, asked):
        assert main(["export", "fraud", "--after", "2:a", "--output", str(file), "--url", url]) == 0
    assert b"after=2%3Aa" in asked[0]
    assert file.read_bytes() == line(1) + line(2) + line(3)
