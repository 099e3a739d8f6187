"""The documentation site as a reader meets it: built once by the same command as `make docs`, and read as text."""

import re
import shlex
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SPHINX = ("-W", "--keep-going", "-n", "-b", "html")


class Site(NamedTuple):
    """A folder of pages."""

    folder: Path

    def html(self, page: str) -> str:
        """A page by its name."""
        return (self.folder / f"{page}.html").read_text(encoding="utf-8")

    def text(self, page: str) -> str:
        """What the page's article says, without its marks."""
        article = re.search(r"<article.*?</article>", self.html(page), re.DOTALL)
        assert article is not None, page
        return " ".join(unescape(re.sub(r"<[^>]+>", "", article[0])).split())

    def codes(self, page: str) -> set[str]:
        """What the page's article shows as code."""
        found = re.findall(r"<code[^>]*>(.*?)</code>", self.html(page), re.DOTALL)
        return {" ".join(unescape(re.sub(r"<[^>]+>", "", one)).split()) for one in found}

    def pages(self) -> list[str]:
        """The names of all pages."""
        return sorted(str(file.relative_to(self.folder))[: -len(".html")] for file in self.folder.rglob("*.html"))


def built(folder: Path) -> tuple[int, str]:
    """Builds the site into the folder; the exit code and what was said."""
    command = [sys.executable, "-m", "sphinx", *SPHINX, "-q", "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def typed_commands(page: Path) -> list[list[str]]:
    """The words of every `modelctl` command in the fenced blocks of a page."""
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("modelctl ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def other_commands(page: Path) -> list[list[str]]:
    """The same of its indented blocks: what a reader types for something of his own."""
    lines = re.findall(r"^    (modelctl .*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]
