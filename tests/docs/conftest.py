"""The site, built once."""

import pytest

from tests.docs.site import Site, built


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """What `make docs` builds; it must be clean."""
    folder = tmp_path_factory.mktemp("site")
    code, said = built(folder)
    assert (code, said) == (0, "")
    return Site(folder / "html")
