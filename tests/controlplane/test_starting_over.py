"""Starting a rollout where one is open already: what only shows makes way, what answers changes its shares, the rest is refused."""

import pytest
from sqlalchemy import Engine

from modelctl.controlplane.operations.inspecting import read_events, read_rollout, read_table
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.errors import Conflict, IllegalMove
from modelctl.rollout import Phase, Verb, replan
from modelctl.traffic import Route, Split, decode_table
from tests.controlplane.scene import ANN, populate, start

SHADOW = {"percent_bp": 10_000}


def live(engine: Engine) -> Route:
    table = read_table(engine)
    assert table is not None
    return decode_table(table.body).routes[0]


def arm_of(route: Route, unit: int) -> str:
    split = Split(route)
    return split.assignments[split.index(str(unit).encode())].arm.backend


def test_a_canary_takes_over_from_a_shadow_of_the_same_candidate(engine: Engine) -> None:
    populate(engine, "a", "b", "c")
    start(engine, "shadow", candidates=("b",), parameters=SHADOW)
    change = start(engine, "canary", parameters={"percent_bp": 500})
    assert (change.subject.id, change.subject.candidates) == (2, ("b",))
    assert "candidate 'b', as in the open rollout" in change.inferred
    assert read_rollout(engine, 1).phase is Phase.ROLLED_BACK
    assert {arm.backend: arm.answers for arm in live(engine).arms} == {"a": 9_500, "b": 500}
    actions = [(event.action, event.rollout) for event in read_events(engine, None, limit=10, cursor=None).items]
    assert actions[:2] == [("start", 2), ("rollback", 1)]


def test_a_preview_makes_way_as_well(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine, "blue-green", parameters={})
    assert start(engine, "shadow", parameters=SHADOW).subject.id == 2


def test_a_rollout_whose_candidate_answers_clients_does_not_make_way(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine, "canary", parameters={"percent_bp": 500})
    with pytest.raises(Conflict, match="End it first"):
        start(engine, "shadow", parameters=SHADOW)


def test_the_same_canary_with_another_share_moves_units_only_into_the_candidate(engine: Engine) -> None:
    populate(engine, "a", "b")
    first = start(engine, "canary", parameters={"percent_bp": 500}).subject
    small = live(engine)
    second = start(engine, "canary", parameters={"percent_bp": 2_000}).subject
    large = live(engine)
    assert (second.id, second.salt, second.revision) == (first.id, first.salt, first.revision + 1)
    assert second.stage == first.stage + 1
    before = {unit for unit in range(5_000) if arm_of(small, unit) == "b"}
    after = {unit for unit in range(5_000) if arm_of(large, unit) == "b"}
    assert before < after


def test_a_changed_rollout_stands_in_the_history_as_changed(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine, "shadow", parameters=SHADOW)
    start(engine, "shadow", parameters={"percent_bp": 5_000})
    newest = read_events(engine, None, limit=1, cursor=None).items[0]
    assert (newest.action, newest.rollout) == ("change", 1)


def test_a_paused_rollout_that_is_changed_goes_on(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine, "canary", parameters={"percent_bp": 500})
    move_rollout(engine, 1, move=Move(verb=Verb.PAUSE), author=ANN)
    assert start(engine, "canary", parameters={"percent_bp": 700}).subject.phase is Phase.PROGRESSING


def test_a_rollout_that_has_ended_cannot_be_replanned(engine: Engine) -> None:
    populate(engine, "a", "b")
    started = start(engine, "canary", parameters={"percent_bp": 500}).subject
    move_rollout(engine, 1, move=Move(verb=Verb.ROLLBACK), author=ANN)
    with pytest.raises(IllegalMove, match="has ended"):
        replan(read_rollout(engine, 1), started.steps, at=1)
