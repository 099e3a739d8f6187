"""Who gets in, and whose forms are taken."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.controlplane.api.sessions import COOKIE, LASTS, Sessions
from tests.controlplane.scene import start
from tests.dashboard.conftest import KEY, plane
from tests.dashboard.reader import Reader

NOW = 1_700_000_000_000_000


@pytest.fixture
def locked(engine: Engine, serve: Callable[[Starlette], str]) -> Iterator[Reader]:
    """A browser at a control plane with a key, and a rollout to act on."""
    start(engine, route="fraud", candidates=("b",))
    made = Reader(serve(plane(engine, key=KEY)))
    yield made
    made.client.close()


def signed_in(reader: Reader, path: str = "/") -> Reader:
    """The browser, once it has signed in."""
    assert reader.open(path).press("/sign-in", key=KEY).status == 200
    return reader


def test_pages_ask_for_the_key_and_then_show_what_was_asked_for(locked: Reader) -> None:
    asked = locked.open("/rollouts/1?x=1")
    assert asked.path == "/sign-in"
    wrong = asked.press("/sign-in", key="not the key of it")
    assert wrong.status == 401
    assert "not the key" in wrong.text
    assert wrong.press("/sign-in", key=KEY).path == "/rollouts/1"
    cookie = next(iter(locked.client.cookies.jar))
    assert KEY not in (cookie.value or "")
    assert cookie.has_nonstandard_attr("HttpOnly")


def test_asking_for_the_key_gives_nobody_a_session(locked: Reader) -> None:
    locked.open("/sign-in")
    assert not locked.client.cookies
    assert locked.open("/").path == "/sign-in"


@pytest.mark.parametrize("other", ['settings={"a": 1}', "a[b]=1", "bare", 'x="unclosed'])
def test_a_cookie_of_another_program_on_this_host_ends_no_session(locked: Reader, other: str) -> None:
    session = next(iter(signed_in(locked).client.cookies.jar))
    locked.client.cookies.clear()
    answer = locked.client.get("/v1/status", headers={"cookie": f"{other}; {session.name}={session.value}"})
    assert answer.status_code == 200


def test_a_session_reads_everything_and_changes_by_forms_alone(locked: Reader) -> None:
    client = signed_in(locked).client
    assert client.get("/v1/status").status_code == 200
    assert client.post("/v1/rollouts/1:pause", json={}).status_code == 401
    assert client.get("/v1/rollouts/1").json()["phase"] == "progressing"
    assert "paused canary 1" in locked.open("/rollouts/1/pause").press("/rollouts/1/pause").text


def test_signing_out_ends_it_in_this_browser(locked: Reader) -> None:
    assert signed_in(locked).open("/").press("/sign-out").path == "/sign-in"
    assert locked.client.get("/v1/status").status_code == 401


@pytest.mark.parametrize("where", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "\\evil"])
def test_signing_in_leads_to_pages_of_this_control_plane_alone(locked: Reader, where: str) -> None:
    answer = locked.client.post("/sign-in", data={"key": KEY, "next": where}, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_programs_are_told_with_a_problem(locked: Reader) -> None:
    for path in ("/v1/status", "/v1/watch"):
        answer = httpx.get(locked.client.base_url.join(path), headers={"accept": "text/html"}, trust_env=False)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
def test_a_form_that_another_site_sends_is_refused(reader: Reader, engine: Engine, headers: dict[str, str]) -> None:
    start(engine, route="fraud", candidates=("b",))
    form = reader.open("/rollouts/1/pause").form("/rollouts/1/pause")
    answer = reader.client.post("/rollouts/1/pause", data=form.fields, headers=headers)
    assert answer.status_code == 403
    assert reader.client.get("/v1/rollouts/1").json()["phase"] == "progressing"
    own = {"origin": str(reader.client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert reader.client.post("/rollouts/1/pause", data=form.fields, headers=own).status_code == 200


def test_a_form_without_the_token_of_its_browser_is_refused(reader: Reader, engine: Engine, url: str) -> None:
    start(engine, route="fraud", candidates=("b",))
    fields = reader.open("/rollouts/1/pause").form("/rollouts/1/pause").fields
    other = Reader(url)
    other.open("/")
    for browser, token in ((reader, ""), (reader, "0" * 64), (other, fields["token"])):
        answer = browser.client.post("/rollouts/1/pause", data=fields | {"token": token})
        assert answer.status_code == 403
    assert reader.client.get("/v1/rollouts/1").json()["phase"] == "progressing"
    other.client.close()


def test_a_name_that_somebody_elses_dns_points_here_is_refused(reader: Reader) -> None:
    for path in ("/", "/v1/watch", "/static/app.js"):
        assert reader.client.get(path, headers={"host": "evil.example"}).status_code == 403


def test_what_is_no_form_or_too_large_is_refused(reader: Reader) -> None:
    assert reader.client.post("/sign-out", json={}).status_code == 415
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert reader.client.post("/sign-out", content="x=1&" * 300_000, headers=headers).status_code == 413
    assert reader.client.post("/sign-out", content="x=1&" * 300, headers=headers).status_code == 422
    assert reader.client.post("/sign-out", content=b"x=%ff", headers=headers).status_code == 422


def test_files_are_served_with_their_types_and_nothing_outside_their_folder(reader: Reader) -> None:
    page = reader.open("/")
    for tag, given in page.tags:
        if tag == "script":
            answer = reader.client.get(given["src"])
            assert answer.headers["content-type"].startswith("text/javascript")
            assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/../site.py", "/static/%2e%2e/site.py", "/static/"):
        assert reader.client.get(path).status_code == 404


def test_a_session_holds_for_its_time_under_its_key() -> None:
    sessions, other = Sessions(KEY), Sessions("another-key-of-26-letters")
    cookie = sessions.begin(NOW)
    assert sessions.holds(cookie, at=NOW + LASTS - 1)
    assert not sessions.holds(cookie, at=NOW + LASTS)
    assert not other.holds(cookie, at=NOW)
    assert Sessions(KEY).holds(cookie, at=NOW)
    longer = f"{NOW * 2}{cookie[cookie.index('.') :]}"
    for forged in (longer, cookie[:-1], "", ".", "..", "0.x.y", cookie + "0", f"{NOW}.x.{'0' * 64}", "é.é.é"):
        assert not sessions.holds(forged, at=NOW)
    assert not sessions.opens("")
    assert not Sessions("").opens("")
    assert COOKIE == "modelctl"
