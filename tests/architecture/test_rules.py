"""Each rule of the architecture finds a fault where there is one, and none where there is none."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.architecture import budgets, layers, words
from tests.architecture.sources import Source, read_sources

Rule = Callable[[Sequence[Source]], list[str]]

CLEAN = {
    "modelctl/__init__.py": '__version__ = "1"\n',
    "modelctl/errors.py": (
        '"""Errors.\n\n    Root\n      Wrong    a value\n        Odd    of one kind\n      Gone     nothing there\n"""\n\n\n'
        'class Root(Exception):\n    code: str = "error"\n\n\nclass Wrong(Root, ValueError):\n    code: str = "wrong"\n\n\n'
        'class Odd(Wrong):\n    code: str = "odd"\n\n\nclass Gone(Root):\n    code: str = "gone"\n'
    ),
    "modelctl/settings.py": "from pathlib import Path\n\nimport msgspec\n\nfrom modelctl.errors import Root\n",
    "modelctl/traffic.py": "from modelctl import settings\n\n\ndef split(a: int, b: int, *, c: int) -> int:\n    return a\n",
    "modelctl/kinds/__init__.py": "from modelctl.kinds.plain import read\n",
    "modelctl/kinds/plain.py": "from modelctl.traffic import split\n\n\ndef read(value: int) -> int:\n    return value\n",
    "modelctl/statistics/coin.py": (
        "import sys\n\nimport numpy as np\nfrom scipy.special import ndtri\n\nfrom modelctl.errors import Wrong\n\n"
        "TINY = sys.float_info.epsilon\n"
    ),
    "modelctl/store/engine.py": "import sqlalchemy\n\nfrom modelctl.traffic import split\n",
    "modelctl/migrations/versions/0001_first.py": "from alembic import op\n\nfrom modelctl.store import engine\n" + "X = 1\n" * 500,
    "modelctl/recorder/rows.py": "import sqlalchemy\n\nfrom modelctl.kinds import read\nfrom modelctl.store import engine\n",
    "modelctl/controlplane/api.py": "import starlette\n\nfrom modelctl.statistics import coin\nfrom modelctl.store import engine\n",
    "modelctl/controlplane/guard.py": (
        "class Guard:\n    async def __call__(self, scope: int, receive: int, send: int) -> None:\n        pass\n\n"
        "    def __exit__(self, kind: int, error: int, trace: int) -> None:\n        pass\n"
    ),
    "modelctl/controlplane/judgement/word.py": "from modelctl.errors import Root\n",
    "modelctl/controlplane/report/page.py": (
        "from modelctl.controlplane import guard\nfrom modelctl.controlplane.judgement import word\n"
    ),
    "modelctl/router/head.py": "import uvloop\n\n\ndef _host(head: int, name: bytes, value: bytes) -> None:\n    pass\n",
    "modelctl/cli/__init__.py": "import typer\n\nfrom modelctl import __version__\nfrom modelctl.errors import Root\n",
    "modelctl/__main__.py": "from modelctl.cli import typer\n",
    "modelctl/demo/model.py": "import numpy\n\nfrom modelctl.settings import Root\n",
    "modelctl/supervisor.py": "import os\n\nfrom modelctl.settings import Root\n",
}

RULES: Sequence[Rule] = (
    layers.unknown_parts,
    layers.forbidden_imports,
    layers.backward_imports,
    layers.forbidden_packages,
    layers.cycles,
    layers.lazy_imports,
    layers.impurities,
    budgets.long_files,
    budgets.long_functions,
    budgets.long_on_the_whole,
    budgets.crowded_functions,
    budgets.positional_functions,
    budgets.idle_exceptions,
    budgets.unannotated_returns,
    words.empty_names,
    words.unfinished,
    words.doubtful_tests,
    words.misdrawn_errors,
)


def planted(folder: Path, files: Mapping[str, str]) -> tuple[Source, ...]:
    """The sources of a project that consists of `files`."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return read_sources(folder / "modelctl")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_clean_project_has_no_faults(tmp_path: Path, rule: Rule) -> None:
    assert rule(planted(tmp_path, CLEAN)) == []


def _function(lines: int) -> str:
    return "def work() -> None:\n" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("rule", "file", "text", "fault"),
    [
        (layers.unknown_parts, "ghost.py", "", "no part 'ghost'"),
        (layers.unknown_parts, "ghost/inside.py", "", "no part 'ghost'"),
        (layers.forbidden_imports, "__init__.py", "import modelctl.errors", "version must not import errors"),
        (layers.forbidden_imports, "errors.py", "from modelctl import traffic", "errors must not import nouns (modelctl.traffic)"),
        (
            layers.forbidden_imports,
            "latency.py",
            "from modelctl import traffic",
            "latency must not import nouns",
        ),
        (layers.forbidden_imports, "rollout.py", "from modelctl.kinds import read", "nouns must not import kinds"),
        (
            layers.forbidden_imports,
            "rollout.py",
            "from .kinds.plain import read",
            "nouns must not import kinds (modelctl.kinds.plain)",
        ),
        (
            layers.forbidden_imports,
            "kinds/v1.py",
            "from ..store import engine",
            "kinds must not import store (modelctl.store.engine)",
        ),
        (layers.forbidden_imports, "kinds/v1.py", "from modelctl.statistics import coin", "kinds must not import statistics"),
        (layers.forbidden_imports, "statistics/coin.py", "from modelctl.traffic import split", "statistics must not import nouns"),
        (layers.forbidden_imports, "store/engine.py", "import modelctl.migrations", "store must not import migrations"),
        (layers.forbidden_imports, "store/engine.py", "import modelctl.kinds", "store must not import kinds"),
        (layers.forbidden_imports, "recorder/rows.py", "import modelctl.statistics.coin", "recorder must not import statistics"),
        (layers.forbidden_imports, "controlplane/api.py", "import modelctl.recorder", "controlplane must not import recorder"),
        (layers.forbidden_imports, "router/head.py", "import modelctl.kinds.plain", "router must not import kinds"),
        (layers.forbidden_imports, "cli/status.py", "from modelctl.controlplane import api", "cli must not import controlplane"),
        (layers.forbidden_imports, "cli/status.py", "if 1:\n    import modelctl.store", "cli must not import store"),
        (layers.forbidden_imports, "demo/model.py", "import modelctl.cli", "demo must not import cli"),
        (layers.forbidden_imports, "supervisor.py", "def run():\n    import modelctl.router", "supervisor must not import router"),
        (layers.forbidden_imports, "migrations/env.py", "import modelctl.traffic", "migrations must not import nouns"),
        (
            layers.backward_imports,
            "controlplane/judgement/word.py",
            "from modelctl.controlplane.report import page",
            "judgement must not import report (modelctl.controlplane.report.page)",
        ),
        (
            layers.backward_imports,
            "controlplane/judgement/__init__.py",
            "from ..report import page",
            "judgement must not import report",
        ),
        (
            layers.backward_imports,
            "controlplane/guard.py",
            "import modelctl.controlplane.judgement.word",
            "controlplane must not import judgement",
        ),
        (
            layers.backward_imports,
            "controlplane/planning/plan.py",
            "from modelctl.controlplane.report.page import word",
            "planning must not import report",
        ),
        (
            layers.backward_imports,
            "controlplane/automation/rule.py",
            "import modelctl.controlplane.api",
            "automation must not import api",
        ),
        (
            layers.backward_imports,
            "controlplane/ghost/rule.py",
            "import modelctl.controlplane.judgement.word",
            "ghost must not import judgement",
        ),
        (layers.forbidden_packages, "router/head.py", "import sqlalchemy.engine", "router must not use sqlalchemy"),
        (layers.forbidden_packages, "router/head.py", "from httpx import Client", "router must not use httpx"),
        (layers.forbidden_packages, "traffic.py", "import numpy", "nouns must not use numpy"),
        (layers.forbidden_packages, "errors.py", "import msgspec", "errors must not use msgspec"),
        (layers.forbidden_packages, "statistics/coin.py", "import msgspec", "statistics must not use msgspec"),
        (layers.forbidden_packages, "kinds/v1.py", "import httpx", "kinds must not use httpx"),
        (layers.forbidden_packages, "recorder/rows.py", "import scipy", "recorder must not use scipy"),
        (layers.forbidden_packages, "controlplane/api.py", "import typer", "controlplane must not use typer"),
        (layers.forbidden_packages, "cli/status.py", "import sqlalchemy", "cli must not use sqlalchemy"),
        (layers.forbidden_packages, "demo/model.py", "import scipy", "demo must not use scipy"),
        (layers.cycles, "settings.py", "from modelctl.traffic import split", "each other: modelctl.settings, modelctl.traffic"),
        (layers.cycles, "kinds/plain.py", "from modelctl.kinds import read", "each other: modelctl.kinds, modelctl.kinds.plain"),
        (
            layers.cycles,
            "settings.py",
            "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from modelctl import traffic",
            "each other: modelctl.settings, modelctl.traffic",
        ),
        (
            layers.lazy_imports,
            "cli/status.py",
            "def run() -> None:\n    import os",
            "modelctl/cli/status.py:2: imports stand at the top",
        ),
        (layers.lazy_imports, "cli/status.py", "class Run:\n    from os import path", "imports stand at the top"),
        (layers.lazy_imports, "cli/status.py", "os = __import__('os')", "__import__ hides"),
        (layers.lazy_imports, "cli/status.py", "from importlib import import_module", "importlib hides"),
        (layers.impurities, "traffic.py", "import time", "nouns is pure and must not import time"),
        (layers.impurities, "traffic.py", "from random import random", "must not import random"),
        (layers.impurities, "traffic.py", "import os", "must not import os"),
        (layers.impurities, "traffic.py", "import asyncio", "must not import asyncio"),
        (layers.impurities, "traffic.py", "import socket", "must not import socket"),
        (layers.impurities, "traffic.py", "import subprocess", "must not import subprocess"),
        (layers.impurities, "traffic.py", "from datetime import datetime", "must not import datetime"),
        (layers.impurities, "traffic.py", "from pathlib import Path", "nouns is pure and must not import pathlib"),
        (layers.impurities, "settings.py", "from pathlib import PurePath", "must not use PurePath"),
        (layers.impurities, "settings.py", "def read(path):\n    return path.absolute()", "must not use .absolute()"),
        (layers.impurities, "settings.py", "def read(path):\n    return path.read_text()", "must not use .read_text()"),
        (layers.impurities, "kinds/v1.py", "def read(path):\n    return open(path)", "kinds is pure and must not use open()"),
        (layers.impurities, "kinds/v1.py", "def now(clock):\n    return clock.now()", "must not use .now()"),
        (layers.impurities, "statistics/coin.py", "import sys\nsys.stdout", "statistics is pure and must not use sys.stdout"),
        (layers.impurities, "statistics/coin.py", "from sys import argv", "must not use argv"),
        (layers.impurities, "statistics/coin.py", "import numpy as np\nnp.random.seed(1)", "must not use np.random"),
        (layers.impurities, "statistics/coin.py", "from numpy import random", "must not use random"),
        (budgets.long_files, "traffic.py", "X = 1\n" * 401, "modelctl/traffic.py: 401 lines, the limit is 400"),
        (budgets.long_functions, "traffic.py", _function(61), "modelctl/traffic.py:1 work: 61 lines, the limit is 60"),
        (budgets.long_on_the_whole, "traffic.py", _function(9) * 20, "the median function may have 8 lines, it has 9"),
        (
            budgets.crowded_functions,
            "traffic.py",
            "class A:\n    def f(self, a, b, *, c, d, e, **f): ...\n    def g(self, a, b, *, c, d, e, f, g): ...",
            "modelctl/traffic.py:3 g: 7 parameters, the limit is 6",
        ),
        (
            budgets.positional_functions,
            "traffic.py",
            "def f(a, b, c): ...",
            "modelctl/traffic.py:1 f: (a, b, c) must be keyword-only",
        ),
        (budgets.positional_functions, "traffic.py", "def f(a, b, *c): ...", "(a, b, *c) must be keyword-only"),
        (
            budgets.positional_functions,
            "traffic.py",
            "class A:\n    def __init__(self, a, b, c): ...",
            "__init__: (a, b, c) must be",
        ),
        (
            budgets.positional_functions,
            "traffic.py",
            "class A:\n    @staticmethod\n    def f(a, b, c): ...",
            "f: (a, b, c) must be",
        ),
        (budgets.positional_functions, "traffic.py", "def f(head, name, value): ...", "(head, name, value) must be keyword-only"),
        (
            budgets.positional_functions,
            "router/head.py",
            "def f(head, name, worth): ...",
            "(head, name, worth) must be keyword-only",
        ),
        (budgets.idle_exceptions, "router/head.py", "def f(head, value): ...", "no function needs the exception: a table of rules"),
        (budgets.idle_exceptions, "controlplane/guard.py", "", "no function needs the exception: Python's with statement"),
        (budgets.unannotated_returns, "traffic.py", "def f() -> int:\n    def g(): ...", "modelctl/traffic.py:2 g: says not"),
        (words.empty_names, "kinds/json_utils.py", "", "modelctl/kinds/json_utils.py: name the module"),
        (words.empty_names, "cli/base/__init__.py", "", "modelctl/cli/base/__init__.py: name the module"),
        (words.empty_names, "traffic.py", "class TableManager: ...", "modelctl/traffic.py:1: name the class TableManager"),
        (words.empty_names, "traffic.py", "class Base: ...", "name the class Base"),
        (words.unfinished, "traffic.py", "X = 1  # TO" + "DO: more", "modelctl/traffic.py:1: TODO is no finished work"),
        (words.unfinished, "traffic.py", '"""FIX' + 'ME soon."""', "FIXME is no finished work"),
        (words.unfinished, "traffic.py", "def f():\n    raise NotImplementedError", "modelctl/traffic.py:2: NotImplementedError"),
        (words.doubtful_tests, "traffic.py", "from unittest.mock import Mock", "mocks stand for"),
        (words.doubtful_tests, "traffic.py", "from unittest import mock", "mocks stand for"),
        (words.doubtful_tests, "traffic.py", "def test_a(mocker): ...", "mocks stand for"),
        (
            words.doubtful_tests,
            "traffic.py",
            "import pytest\npytest.skip('later')",
            "modelctl/traffic.py:2: a test that does not run",
        ),
        (words.doubtful_tests, "traffic.py", "import pytest\n@pytest.mark.xfail\ndef test_a(): ...", "a test that does not run"),
        (
            words.doubtful_tests,
            "traffic.py",
            "from modelctl.traffic import Split\ndef test_a(monkeypatch):\n    monkeypatch.setattr(Split, 'index', 0)",
            "modelctl/traffic.py:3: only objects of the standard library may be replaced",
        ),
        (
            words.doubtful_tests,
            "traffic.py",
            "def test_a(monkeypatch):\n    monkeypatch.setattr('modelctl.traffic.Split', 0)",
            "only objects of the standard library may be replaced",
        ),
        (
            words.misdrawn_errors,
            "errors.py",
            CLEAN["modelctl/errors.py"] + "\n\nclass New(Root):\n    code: str = 'new'\n",
            "New(Root) is",
        ),
        (words.misdrawn_errors, "errors.py", CLEAN["modelctl/errors.py"].replace("Odd(Wrong)", "Odd(Root)"), "Odd(Wrong) is drawn"),
        (words.misdrawn_errors, "errors.py", CLEAN["modelctl/errors.py"].replace('"odd"', '"gone"'), "'gone' is that of several"),
        (words.misdrawn_errors, "errors.py", CLEAN["modelctl/errors.py"].replace("code: str", "name: str"), "Odd has no code"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, *, rule: Rule, file: str, text: str, fault: str) -> None:
    faults = rule(planted(tmp_path, {**CLEAN, f"modelctl/{file}": text}))
    assert any(fault in found for found in faults), faults


def test_long_files_are_found_at_the_median(tmp_path: Path) -> None:
    files = {f"modelctl/kinds/kind_{number}.py": "X = 1\n" * 151 for number in range(40)}
    assert budgets.long_on_the_whole(planted(tmp_path, {**CLEAN, **files})) == ["the median file may have 150 lines, it has 151"]


def test_replacing_what_belongs_to_the_standard_library_is_allowed(tmp_path: Path) -> None:
    text = "import sys\n\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr(sys, 'stdin', None)\n"
    assert words.doubtful_tests(planted(tmp_path, {"modelctl/traffic.py": text})) == []
