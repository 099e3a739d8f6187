"""Rules of an open rollout: added, listed, removed, published, told in the history; and headers that slices need are captured."""

from collections.abc import Callable

import httpx
import msgspec
import pytest
from scipy.stats import chi2_contingency
from sqlalchemy import Engine

from modelctl.controlplane.compiler import compile_route
from modelctl.controlplane.operations.changing import change_route
from modelctl.controlplane.operations.inspecting import read_events, read_rollout, read_table
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.controlplane.operations.ruling import PlacedRule, add_rule, remove_rule
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.errors import Conflict, IllegalMove, InvalidInput, NotFound, StaleRevision
from modelctl.metric import Dimension, DimensionSource
from modelctl.rollout import Rollout, Verb
from modelctl.rule import Rule, RuleSource
from modelctl.store import catalog
from modelctl.store.catalog import RouteEntry
from modelctl.store.engine import reading
from modelctl.traffic import Capture, Route, Split, decode_table
from tests.controlplane.scene import ANN, AT, SALT, populate, rollout, start


def rule(name: str = "testers", *, arm: str = "b") -> Rule:
    return Rule(name=name, arm=arm, source=RuleSource.HEADER, place="x-tester")


def live(engine: Engine) -> Route:
    table = read_table(engine)
    assert table is not None
    return decode_table(table.body).routes[0]


def opened(engine: Engine) -> Rollout:
    populate(engine, "a", "b")
    return start(engine).subject


def test_a_rule_is_published_told_in_the_history_and_opens_no_stage(engine: Engine) -> None:
    first = opened(engine)
    changed = add_rule(engine, first.id, wanted=PlacedRule(rule=rule()), author=ANN).subject
    assert live(engine).rules == changed.rules == read_rollout(engine, first.id).rules == (rule(),)
    assert (changed.stage, changed.revision, live(engine).stage) == (first.stage, first.revision + 1, first.stage)
    with reading(engine) as connection:
        assert len(catalog.stages(connection, first.id)) == 1
    event = read_events(engine, None, limit=1, cursor=None).items[0]
    assert (event.action, event.backend, event.rollout, event.actor) == ("add-rule", "b", first.id, "ann")
    assert event.detail == {"rule": msgspec.to_builtins(rule()), "rules": ["testers"]}


def test_rules_stand_where_they_are_put_and_the_others_keep_their_order(lite: Engine) -> None:
    first = opened(lite)
    for name, at in (("one", None), ("two", None), ("zero", 0), ("between", 2)):
        add_rule(lite, first.id, wanted=PlacedRule(rule=rule(name), at=at), author=ANN)
    assert [one.name for one in live(lite).rules] == ["zero", "one", "between", "two"]
    remove_rule(lite, first.id, name="one", author=ANN)
    assert [one.name for one in live(lite).rules] == ["zero", "between", "two"]
    assert read_events(lite, None, limit=1, cursor=None).items[0].action == "remove-rule"


@pytest.mark.parametrize(
    ("wanted", "error", "why"),
    [
        (PlacedRule(rule=rule()), Conflict, "has a rule 'testers' already"),
        (PlacedRule(rule=rule("other", arm="c")), InvalidInput, "no arm of route 'fraud' now; it has a, b"),
        (PlacedRule(rule=rule("other"), at=2), InvalidInput, "from 0 to 1"),
        (PlacedRule(rule=rule("other"), at=-1), InvalidInput, "from 0 to 1"),
    ],
)
def test_what_cannot_be_a_rule_changes_nothing(lite: Engine, wanted: PlacedRule, error: type[Exception], why: str) -> None:
    first = opened(lite)
    add_rule(lite, first.id, wanted=PlacedRule(rule=rule()), author=ANN)
    before = read_table(lite)
    with pytest.raises(error, match=why):
        add_rule(lite, first.id, wanted=wanted, author=ANN)
    assert read_table(lite) == before


def test_the_seventeenth_rule_is_refused(lite: Engine) -> None:
    first = opened(lite)
    for number in range(16):
        add_rule(lite, first.id, wanted=PlacedRule(rule=rule(f"r{number}")), author=ANN)
    with pytest.raises(InvalidInput, match="17 rules"):
        add_rule(lite, first.id, wanted=PlacedRule(rule=rule("more")), author=ANN)


def test_rules_survive_an_advance_and_end_with_their_rollout(lite: Engine) -> None:
    populate(lite, "a", "b")
    first = start(lite, parameters={"percent_bp": 500, "steps_bp": [1000]}).subject
    add_rule(lite, first.id, wanted=PlacedRule(rule=rule()), author=ANN)
    move_rollout(lite, first.id, move=Move(verb=Verb.ADVANCE), author=ANN)
    assert live(lite).rules == (rule(),)
    move_rollout(lite, first.id, move=Move(verb=Verb.ROLLBACK), author=ANN)
    assert live(lite).rules == ()
    changes: tuple[Callable[[], object], ...] = (
        lambda: add_rule(lite, first.id, wanted=PlacedRule(rule=rule("more")), author=ANN),
        lambda: remove_rule(lite, first.id, name="testers", author=ANN),
    )
    for change in changes:
        with pytest.raises(IllegalMove, match="has ended"):
            change()


def test_a_rule_that_is_not_there_and_a_stale_revision_are_refused(lite: Engine) -> None:
    first = opened(lite)
    with pytest.raises(NotFound, match="has no rule 'testers'; its rules: none"):
        remove_rule(lite, first.id, name="testers", author=ANN)
    with pytest.raises(StaleRevision):
        add_rule(lite, first.id, wanted=PlacedRule(rule=rule()), author=ANN, revision=first.revision + 1)
    with pytest.raises(NotFound):
        add_rule(lite, 99, wanted=PlacedRule(rule=rule()), author=ANN)


def test_rules_over_http(api: httpx.Client) -> None:
    for name in ("a", "b"):
        api.post("/v1/backends", json={"name": name, "endpoints": [f"http://{name}.test:8000"]})
    api.post("/v1/routes", json={"name": "fraud", "baseline": "a"})
    started = api.post("/v1/rollouts", json={"strategy": "canary", "candidates": ["b"], "parameters": {"percent_bp": 500}}).json()
    path = f"/v1/rollouts/{started['rollout']['id']}"
    made = {"name": "gold", "arm": "b", "source": "request", "place": "/plan", "equals": "gold"}
    added = api.post(f"{path}:add-rule", json={"rule": made, "reason": "paying users", "actor": "bo"})
    assert (added.status_code, added.json()["rollout"]["rules"]) == (200, [made])
    assert api.get(path).json()["rules"] == [made]
    wrong = api.post(f"{path}:add-rule", json={"rule": made | {"name": "x", "plcae": "/a"}})
    assert (wrong.status_code, "plcae" in wrong.text) == (422, True)
    assert api.post(f"{path}:remove-rule", json={"name": "silver"}).status_code == 404
    gone = api.post(f"{path}:remove-rule", json={"name": "gold"}, headers={"if-match": f'"{added.json()["rollout"]["revision"]}"'})
    assert (gone.status_code, gone.json()["rollout"]["rules"]) == (200, [])


def test_the_second_copy_has_a_line_of_its_own_in_the_status_and_none_of_the_baselines_requests(api: httpx.Client) -> None:
    for name in ("a", "b"):
        api.post("/v1/backends", json={"name": name, "endpoints": [f"http://{name}.test:8000"]})
    api.post("/v1/routes", json={"name": "fraud", "baseline": "a"})
    wanted = {"strategy": "shadow", "candidates": ["b"], "parameters": {"noise_bp": 500}}
    assert api.post("/v1/rollouts", json=wanted).status_code == 201
    (route,) = api.get("/v1/status").json()["routes"]
    lines = [(arm["backend"], arm["role"], arm["answers"], arm["shown"], arm["requests"]) for arm in route["arms"]]
    assert lines == [("a", "baseline", 10_000, 0, 0), ("b", "candidate", 0, 10_000, 0), ("a", "noise", 0, 500, 0)]


COUNTRY = Dimension(name="country", source=DimensionSource.HEADER, place="X-Country")
HOUR = Dimension(name="hour", source=DimensionSource.HOUR)
AGE = Dimension(name="age", source=DimensionSource.REQUEST, place="/age")


def test_the_headers_that_a_route_is_sliced_by_are_captured_without_a_further_word() -> None:
    entry = RouteEntry(name="fraud", baseline="a", created_at=AT, dimensions=(COUNTRY, HOUR, AGE))
    assert compile_route(entry, None).capture.headers == ("x-country",)
    both = msgspec.structs.replace(entry, capture=Capture(headers=("x-tier", "x-country")))
    assert compile_route(both, None).capture.headers == ("x-tier", "x-country")
    assert compile_route(msgspec.structs.replace(entry, dimensions=()), None).capture == Capture()


def test_an_open_rollout_goes_on_being_sliced_as_when_it_started() -> None:
    entry = RouteEntry(name="fraud", baseline="a", created_at=AT)
    running = msgspec.structs.replace(rollout("canary", {"percent_bp": 500}), dimensions=(COUNTRY,))
    assert compile_route(entry, running).capture.headers == ("x-country",)


def test_a_slice_by_a_secret_header_is_refused_when_it_is_declared(lite: Engine) -> None:
    populate(lite, "a", "b")
    key = Dimension(name="key", source=DimensionSource.HEADER, place="Authorization")
    changes = msgspec.defstruct("Changes", [("dimensions", tuple[Dimension, ...])])(dimensions=(key,))
    with pytest.raises(InvalidInput, match="secrets"):
        change_route(lite, "fraud", changes=changes, author=ANN)


def test_two_rollouts_on_different_routes_split_the_same_users_independently(lite: Engine) -> None:
    populate(lite, "a", "b")
    populate(lite, "c", "d", route="spam", path="/spam")
    order = NewRollout(strategy="canary", parameters={"percent_bp": 3_000})
    for route, candidate, salt in (("fraud", "b", SALT), ("spam", "d", "f" + SALT[1:])):
        wanted = msgspec.structs.replace(order, route=route, candidates=(candidate,))
        start_rollout(lite, wanted, author=ANN, salt=salt)
    table = read_table(lite)
    assert table is not None
    here, there = (Split(route) for route in decode_table(table.body).routes)
    table_of = [[0, 0], [0, 0]]
    for number in range(100_000):
        unit = b"user-%d" % number
        table_of[here.index(unit)][there.index(unit)] += 1
    assert chi2_contingency(table_of).pvalue > 0.001
    assert abs(sum(table_of[0]) - 30_000) < 800


def test_the_programs_own_salts_differ(api: httpx.Client) -> None:
    salts = set()
    for number in range(3):
        for name in (f"a{number}", f"b{number}"):
            api.post("/v1/backends", json={"name": name, "endpoints": [f"http://{name}.test:8000"]})
        api.post("/v1/routes", json={"name": f"r{number}", "path": f"/r{number}", "baseline": f"a{number}"})
        body = {"strategy": "canary", "route": f"r{number}", "candidates": [f"b{number}"], "parameters": {"percent_bp": 500}}
        salts.add(api.post("/v1/rollouts", json=body).json()["rollout"]["salt"])
    assert len(salts) == 3
