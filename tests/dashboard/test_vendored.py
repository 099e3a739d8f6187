"""What was taken over from others is what it says it is."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from modelctl.controlplane.dashboard.rendering import STATIC

FOLDERS = (STATIC / "vendor", Path(__file__).parent / "vendor")


@pytest.mark.parametrize("folder", FOLDERS, ids=("served", "tests"))
def test_every_vendored_file_is_listed_with_its_hash_version_source_and_licence(folder: Path) -> None:
    listed = json.loads((folder / "vendored.json").read_text())
    names = {one["file"] for one in listed} | {one["licence_file"] for one in listed} | {"vendored.json"}
    assert {path.name for path in folder.iterdir()} == names
    for one in listed:
        assert sha256((folder / one["file"]).read_bytes()).hexdigest() == one["sha256"]
        assert one["package"].startswith("npm ")
        assert one["version"]
        assert one["licence"]
        assert one["integrity"].startswith("sha512-")


def test_no_vendored_script_names_an_address_it_would_load_from() -> None:
    for path in (STATIC / "vendor").glob("*.js"):
        assert "sourceMappingURL" not in path.read_text()
