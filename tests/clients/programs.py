"""Clients that are no Python packages: where they are, and how they are run."""

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("curl", "node", "chromium", "prometheus", "promtool", "systemd-analyze")
_SECONDS = 300


def missing() -> list[str]:
    """The programs that this machine does not have."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def run(*command: str, data: bytes | None = None, environment: dict[str, str] | None = None) -> bytes:
    """What a program prints. Raises CalledProcessError, with what it complains about."""
    env = os.environ | (environment or {})
    done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False, env=env)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr.decode())
    return done.stdout


def curl(*arguments: str, data: bytes | None = None) -> bytes:
    """The body of the answer, or what `--write-out` says."""
    return run("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(_SECONDS), *arguments, data=data)


def node(script: str, *arguments: str, ca: str = "") -> bytes:
    """What a module of JavaScript prints; it finds its arguments in `argv`, and trusts the authority in the file `ca`."""
    program = f"const argv = process.argv.slice(1);\n{script}"
    return run("node", "--input-type=module", "--eval", program, *arguments, environment={"NODE_EXTRA_CA_CERTS": ca})


def script(name: str) -> str:
    """A module beside the tests."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
