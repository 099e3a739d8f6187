"""The dashboard in a real browser: live, by keyboard, for people who cannot see it, and with nothing of another origin."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from sqlalchemy import Engine
from starlette.applications import Starlette

from tests.controlplane.scene import served, start, store_pair, store_prediction, store_sums
from tests.dashboard.conftest import KEY, plane

pytestmark = pytest.mark.external("chromium")

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATHS = (
    *("/", "/rollouts/1", "/rollouts/1/promote", "/routes/fraud", "/routes/fraud/start/canary", "/routes/fraud/put-back"),
    *("/backends", "/backends/a", "/predictions", "/predictions/p1", "/pairs/p1/b", "/history", "/routes/fraud/report", "/nothing"),
)
PATIENCE = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One chromium for all tests here."""
    with sync_playwright() as playwright:
        made = _launch(playwright)
        yield made
        made.close()


def _launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS), timeout=60_000)


class Watched:
    """A page, with what it complained about and which addresses it asked for."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:  # noqa: ANN401 what Playwright takes
        self.url = url
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900}, **context)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "404 (Not Found)" not in text:
            self.complaints.append(text)

    def open(self, path: str) -> Page:
        """The page at `path`, once its scripts have run."""
        self.page.goto(path, wait_until="load")
        return self.page

    def close(self) -> None:
        """What every page has to be: quiet, and content with its own origin."""
        self.context.close()
        assert self.complaints == []
        assert [address for address in self.asked if not address.startswith((self.url, "data:"))] == []


@pytest.fixture
def watched(browser: Browser, url: str) -> Iterator[Watched]:
    """A browser's window at the control plane of the test."""
    made = Watched(browser, url)
    yield made
    made.close()


@pytest.fixture
def busy(engine: Engine) -> Engine:
    """A canary with a gate and some evidence, and a pair that disagrees."""
    gates = ("error_rate:guardrail:margin=1pt",)
    parameters = {"percent_bp": 500, "steps_bp": [2000], "shadow_bp": 2000}
    start(engine, route="fraud", candidates=("b",), parameters=parameters, gates=gates)
    shown = dict.fromkeys(("eligible", "sampled", "sent", "answered", "parsed", "paired"), 2000)
    store_sums(engine, [*served("a", 9500, 20), *served("b", 500, 2)], rollout=1)
    store_sums(engine, _counts(shown), rollout=1, minute=28_333_334)
    request = {"request_type": "application/json", "request_size": 13}
    store_prediction(engine, "p1", label="yes", answer_size=19, **request)
    answers = {"baseline_body": b'{"prediction": "yes", "score": 0.7}', "candidate_body": b'{"prediction": "no", "score": 0.4}'}
    sizes = {"baseline_size": 35, "candidate_size": 34}
    store_pair(engine, "p1", agree=0, baseline_label="yes", candidate_label="no", **answers, **sizes)
    return engine


def _counts(by_key: dict[str, int]) -> list[Any]:
    from_scene = served("b", 1, 0)[0]
    return [type(from_scene)(1, "b", "funnel", key, n) for key, n in by_key.items()]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_quiet_and_content_with_its_own_origin(browser: Browser, url: str, *, scheme: Any) -> None:  # noqa: ANN401
    window = Watched(browser, url, color_scheme=scheme)
    found = {path: _faults(window.open(path)) for path in (PATHS if scheme == "light" else ("/", "/rollouts/1", "/pairs/p1/b"))}
    window.close()
    assert {path: faults for path, faults in found.items() if faults} == {}


def _faults(page: Page) -> list[str]:
    page.evaluate(AXE)
    wanted = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    result = page.evaluate("wanted => axe.run(document, wanted)", wanted)
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in result["violations"] for node in one["nodes"]]


def test_a_rollout_is_run_from_its_start_to_promotion_in_the_browser(watched: Watched) -> None:
    page = watched.open("/routes/fraud")
    page.get_by_role("link", name="Canary…").click()
    page.get_by_label("Candidate", exact=True).fill("b")
    page.get_by_label("Share of the requests it answers").fill("5")
    page.get_by_label("Later shares").fill("50")
    expect(page.locator("#command")).to_contain_text("modelctl canary fraud b --percent 5 --steps 50")
    page.get_by_role("button", name="Look at what it would do").click()
    page.get_by_role("button", name="Start the rollout").click()
    expect(page.get_by_role("status").first).to_contain_text("started canary of b on route fraud")
    page.get_by_role("link", name="Advance…").click()
    page.get_by_label("Why").fill("it's calm")
    expect(page.locator("#command")).to_contain_text("modelctl advance fraud --reason 'it'\"'\"'s calm'")
    page.get_by_role("button", name="Advance").click()
    expect(page.get_by_role("status").first).to_contain_text("advanced canary 1")
    page.get_by_role("link", name="Promote…").click()
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_role("status").first).to_contain_text("promoted canary 1")
    expect(page.locator("main")).to_contain_text("b is the baseline")


def test_a_rollback_takes_two_presses_in_the_browser(watched: Watched, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",))
    page = watched.open("/")
    page.get_by_role("link", name="fraud", exact=True).click()
    page.get_by_role("link", name="Roll back…").click()
    page.get_by_role("button", name="Roll back").dblclick()
    expect(page.get_by_role("status").first).to_contain_text("rolled back canary 1")
    assert httpx.get(f"{watched.url}/v1/rollouts/1", trust_env=False).json()["phase"] == "rolled-back"


def test_what_others_do_is_seen_without_a_reload_and_the_focus_stays(watched: Watched, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",), parameters={"percent_bp": 500, "steps_bp": [2000]})
    page = watched.open("/rollouts/1")
    page.evaluate("window.here = 'still'")
    page.get_by_role("link", name="Pause…").focus()
    body = {"reason": "seen elsewhere", "actor": "bob"}
    httpx.post(f"{watched.url}/v1/rollouts/1:advance", json=body, trust_env=False).raise_for_status()
    expect(page.locator("main")).to_contain_text("seen elsewhere")
    expect(page.locator("[aria-current=step]")).to_contain_text("20% to b")
    assert page.evaluate("window.here") == "still"
    assert page.evaluate("document.activeElement.id") == "do-pause"


def test_times_grow_old_and_commands_are_copied(browser: Browser, url: str, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",))
    window = Watched(browser, url, permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/rollouts/1/pause")
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == "modelctl pause fraud"
    page = window.open("/history")
    shown = page.locator("time").first
    assert re.fullmatch(r".* UTC", shown.get_attribute("title") or "")
    expect(shown).to_contain_text("ago")
    window.close()


def test_the_keyboard_reaches_the_content_first(watched: Watched, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",))
    page = watched.open("/rollouts/1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_without_scripts_the_browser_shows_the_same_words(browser: Browser, url: str, busy: Engine) -> None:
    window = Watched(browser, url, java_script_enabled=False)
    window.page.goto("/rollouts/1")
    expect(window.page.locator("main")).to_contain_text("What you can do")
    expect(window.page.get_by_role("link", name="Advance…")).to_be_visible()
    window.close()


def test_a_key_is_asked_for_once_and_kept_out_of_reach_of_scripts(
    browser: Browser, engine: Engine, serve: Callable[[Starlette], str]
) -> None:
    start(engine, route="fraud", candidates=("b",))
    window = Watched(browser, serve(plane(engine, key=KEY)))
    page = window.open("/rollouts/1")
    page.get_by_label("The control plane's key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/rollouts/1$"))
    assert page.evaluate("document.cookie") == ""
    httpx.post(f"{window.url}/v1/rollouts/1:pause", headers={"authorization": f"Bearer {KEY}"}, json={}, trust_env=False)
    expect(page.locator("main")).to_contain_text("paused")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("The control plane's key")).to_be_visible()
    window.close()


def test_pictures_are_kept_for_people_to_look_at(browser: Browser, url: str, busy: Engine, artifacts: Path) -> None:
    for name, path, scheme in (("overview", "/", "light"), ("rollout", "/rollouts/1", "dark"), ("pair", "/pairs/p1/b", "light")):
        window = Watched(browser, url, color_scheme=scheme)
        window.open(path).screenshot(path=artifacts / f"dashboard-{name}.png", full_page=True)
        window.close()
        print(f"a picture of the {name}: {artifacts / f'dashboard-{name}.png'}")
        assert (artifacts / f"dashboard-{name}.png").stat().st_size > 10_000
