"""The style sheet of the figures, for a page that includes them."""

from pathlib import Path

STYLE = (Path(__file__).parent / "figures.css").read_text(encoding="utf-8")
"""Classes begin with `fig-`, variables with `--fig-`; dark where the reader's system is, black on white in print."""
