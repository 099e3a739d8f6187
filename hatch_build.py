"""Compiles the router's hot path with mypyc, for wheels and for editable installs alike.

The same files run uncompiled: without a C compiler the build goes on, says so, and the router costs about 40 % more.
`python hatch_build.py` compiles in place, as `make` does when a source is newer than its build.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
MODULES = [
    f"modelctl/router/{name}.py"
    for name in (
        "identity",
        "clock",
        "narrow",
        "hold",
        "head",
        "answer_head",
        "intake",
        "address",
        "origin",
        "paths",
        "rate",
        "admission",
        "outgoing",
        "events",
        "interim",
        "trailers",
        "guard",
        "balance",
        "ejection",
        "watch",
        "rawbytes",
        "upstream",
        "room",
        "addresses",
        "health",
        "upkeep",
        "roster",
        "pool",
        "target",
        "table",
        "window",
        "counting",
        "retry",
        "breaker",
        "decision",
        "choice",
        "overload",
        "shadow",
        "repeat",
        "retargeting",
        "exchange",
        "tunnel",
        "client",
        "sync_client",
    )
]

# What mypyc's own command does, but that it looks for no packages: it would take a folder such as `deploy` for one.
_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup
modules = sys.argv[1:]
setup(name="modelctl", packages=[], ext_modules=mypycify(modules, opt_level="3"), script_args=["build_ext", "--inplace"])
"""


def built() -> list[Path]:
    """The extension modules that lie beside their sources."""
    return sorted((ROOT / "modelctl" / "router").glob("*.so")) + sorted(ROOT.glob("*__mypyc*.so"))


def compile_in_place() -> None:
    """Replace what was built before. Raises CalledProcessError with the compiler's words on standard error."""
    for old in built():
        old.unlink()
    subprocess.run([sys.executable, "-c", _SETUP, *MODULES], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    shutil.rmtree(ROOT / "build", ignore_errors=True)


def compile_if_possible(warn: Callable[[str], None]) -> bool:
    """Whether the router is compiled now; `warn` is told why not."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        warn(f"no C compiler ({compiler}): the router stays uncompiled")
        return False
    try:
        compile_in_place()
    except subprocess.CalledProcessError:
        warn("the router could not be compiled and stays uncompiled; the compiler's words stand above")
        return False
    return True


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls. MODELCTL_PURE in the environment leaves the router uncompiled."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put what came out into the wheel."""
        if self.target_name != "wheel" or os.environ.get("MODELCTL_PURE") or not compile_if_possible(self.app.display_warning):
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version != "editable":
            build_data["force_include"].update({str(path): str(path.relative_to(ROOT)) for path in built()})


if __name__ == "__main__":
    compile_if_possible(lambda why: print(f"warning: {why}", file=sys.stderr))
