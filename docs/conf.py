"""The documentation site: `make docs`. Nothing is downloaded, and every warning is an error there."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sphinx.application import Sphinx  # noqa: E402 the root has to be on the path first

from docs.site import pages  # noqa: E402
from modelctl import __version__  # noqa: E402

project = "modelctl"
author = "the modelctl authors"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "site"]
# The anchors of headings are those of a Git host, so a link in a page works in both places.
myst_heading_anchors = 4
highlight_language = "none"
html_theme = "furo"
html_title = f"modelctl {__version__}"
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    pages.register(app, ROOT)
