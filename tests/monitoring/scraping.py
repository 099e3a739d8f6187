"""A running program as its monitoring sees it: the numbers of `/metrics`, and a real Prometheus beside it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.program import Program, until
from tests.ports import free_port

_LINE = re.compile(r"^(\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)


def scraped(program: Program, accept: str = "") -> str:
    """The text of `/metrics`."""
    answer = httpx.get(f"{program.url}/metrics", headers={"accept": accept}, timeout=10, trust_env=False)
    return answer.raise_for_status().text


def numbers(program: Program) -> dict[str, float]:
    """Every series with its value."""
    return {series: float(value) for series, value in _LINE.findall(scraped(program))}


def send(program: Program, count: int, *, path: str = "/fraud") -> None:
    """So many requests of one client."""
    with httpx.Client(base_url=f"http://127.0.0.1:{program.port}", trust_env=False, timeout=20) as client:
        for number in range(count):
            client.post(path, json={"x": number})


class Prometheus:
    """Scrapes one program each second."""

    def __init__(self, folder: Path, target: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "prometheus.yml"
        config.write_text(
            "global: { scrape_interval: 1s, evaluation_interval: 1s }\n"
            f"scrape_configs: [{{ job_name: modelctl, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        )
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage"]
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._ready, what="Prometheus")

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 whatever the API answers
        """The data of an answer of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, trust_env=False, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def stop(self) -> None:
        """SIGTERM."""
        self.process.terminate()
        self.process.wait(20)
