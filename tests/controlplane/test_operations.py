"""Commands: each is one transaction, and what it refuses changes nothing."""

import threading
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from sqlalchemy import Engine, select

from modelctl.controlplane.operations.backends import add_backend, remove_backend
from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.inspecting import read_catalog, read_events, read_rollout, read_table
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.controlplane.operations.routes import NewRoute, add_route, put_baseline_back, remove_route
from modelctl.errors import Ambiguous, Conflict, IllegalMove, InvalidInput, ModelctlError, NotFound, StaleRevision
from modelctl.rollout import Phase, Rollout, Verb
from modelctl.store import catalog
from modelctl.store.engine import reading
from modelctl.store.tables import stage
from modelctl.traffic import Route, decode_table
from tests.controlplane.scene import ANN, AT, SALT, backend, populate, start


def move(engine: Engine, rollout: int, verb: Verb, *, winner: str = "", revision: int | None = None) -> Rollout:
    return move_rollout(engine, rollout, move=Move(verb=verb, winner=winner), author=ANN, revision=revision).subject


def live(engine: Engine, name: str = "fraud") -> Route:
    table = read_table(engine)
    assert table is not None
    return next(route for route in decode_table(table.body).routes if route.name == name)


def answers(engine: Engine) -> dict[str, int]:
    return {arm.backend: arm.answers for arm in live(engine).arms}


def history(engine: Engine) -> list[str]:
    return [event.action for event in reversed(read_events(engine, None, limit=100, cursor=None).items)]


def refused_without_a_trace(engine: Engine, error: type[ModelctlError], sentence: str, command: Callable[[], object]) -> None:
    before, events = read_table(engine), history(engine)
    with pytest.raises(error, match=sentence):
        command()
    assert (read_table(engine), history(engine)) == (before, events)


def test_a_backend_is_in_the_next_table_and_in_the_history(engine: Engine) -> None:
    change = add_backend(engine, backend("a"), author=ANN)
    assert change.table.version == 1
    assert [one.name for one in decode_table(change.table.body).backends] == ["a"]
    (event,) = read_events(engine, None, limit=10, cursor=None).items
    assert (event.action, event.backend, event.actor, event.reason, event.at) == ("add-backend", "a", "ann", "because", AT)


def test_every_command_raises_the_tables_version_by_one(lite: Engine) -> None:
    populate(lite, "a", "b")
    assert start(lite).table.version == 4
    assert move_rollout(lite, 1, move=Move(verb=Verb.PAUSE), author=ANN).table.version == 5


def test_a_name_that_is_taken_is_refused(lite: Engine) -> None:
    populate(lite, "a")
    refused_without_a_trace(lite, Conflict, "there is a backend 'a' already", lambda: add_backend(lite, backend("a"), author=ANN))


def test_an_unknown_kind_is_refused(lite: Engine) -> None:
    with pytest.raises(InvalidInput, match="no kind of backend"):
        add_backend(lite, backend("a", kind="telepathy"), author=ANN)


def test_a_removed_name_can_be_used_again_with_another_spec_and_a_new_revision(engine: Engine) -> None:
    add_backend(engine, backend("a"), author=ANN)
    assert remove_backend(engine, "a", author=ANN).subject.removed_at == AT
    assert read_catalog(engine).backends == ()
    again = add_backend(engine, backend("a", max_inflight=7), author=ANN).subject
    assert (again.revision, read_catalog(engine).backend("a").backend.max_inflight) == (3, 7)


def test_a_removed_backend_stays_readable_for_late_records(lite: Engine) -> None:
    add_backend(lite, backend("a"), author=ANN)
    remove_backend(lite, "a", author=ANN)
    with reading(lite) as connection:
        found = catalog.find_backend(connection, "a")
    assert found is not None
    assert (found.backend, found.removed_at) == (backend("a"), AT)


def test_a_backend_in_use_is_not_removed_and_the_users_are_named(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite)
    for name, user in (("a", "route 'fraud' .its baseline. and rollout 1"), ("b", "rollout 1 of route 'fraud'")):
        refused_without_a_trace(lite, Conflict, user, partial(remove_backend, lite, name, author=ANN))


def test_removing_what_is_not_there_says_what_is(lite: Engine) -> None:
    populate(lite, "a")
    with pytest.raises(NotFound, match="there is no backend 'x'; there are a"):
        remove_backend(lite, "x", author=ANN)


def test_a_route_sends_everything_to_its_baseline(lite: Engine) -> None:
    populate(lite, "a")
    assert answers(lite) == {"a": 10_000}


@pytest.mark.parametrize(
    ("wanted", "error", "sentence"),
    [
        (NewRoute(name="fraud", path="/other", baseline="a"), Conflict, "a route 'fraud' already"),
        (NewRoute(name="other", path="/fraud", baseline="a"), Conflict, "route 'fraud' has the address any host/fraud already"),
        (NewRoute(name="other", path="/-/x", baseline="a"), InvalidInput, "the router's own"),
        (NewRoute(name="other", path="/x", unit="cookie:a", baseline="a"), InvalidInput, "'request' or 'header:NAME'"),
        (NewRoute(name="other", path="/x", baseline="z"), NotFound, "there is no backend 'z'"),
    ],
)
def test_a_route_that_cannot_be_is_refused(lite: Engine, wanted: NewRoute, error: type[ModelctlError], sentence: str) -> None:
    populate(lite, "a")
    refused_without_a_trace(lite, error, sentence, lambda: add_route(lite, wanted, author=ANN))


def test_a_removed_route_leaves_the_table_and_its_address_is_free(engine: Engine) -> None:
    populate(engine, "a")
    change = remove_route(engine, "fraud", author=ANN)
    assert decode_table(change.table.body).routes == ()
    assert change.bereft == ("a",)
    again = add_route(engine, NewRoute(name="fraud", path="/fraud", baseline="a"), author=ANN)
    assert again.subject.revision == 3


def test_a_route_with_an_open_rollout_is_not_removed_and_the_ways_out_are_named(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite)
    refused_without_a_trace(
        lite, Conflict, "modelctl promote fraud\n  modelctl rollback fraud", lambda: remove_route(lite, "fraud", author=ANN)
    )


def test_a_rollout_splits_the_traffic_and_opens_a_stage(lite: Engine) -> None:
    populate(lite, "a", "b")
    change = start(lite, route="fraud", candidates=("b",))
    assert answers(lite) == {"a": 9500, "b": 500}
    assert (change.subject.id, change.subject.salt, change.inferred) == (1, SALT, ())
    assert (live(lite).stage, live(lite).rollout, live(lite).salt) == (change.subject.stage, 1, SALT)


def test_what_was_not_told_is_inferred_and_said(lite: Engine) -> None:
    populate(lite, "a", "b")
    assert start(lite).inferred == (
        "route 'fraud', because it is the only one",
        "candidate 'b', because it is the only backend that is not in use",
    )


def test_with_two_routes_the_route_must_be_named_and_the_commands_are_printed(lite: Engine) -> None:
    populate(lite, "a", "b")
    add_route(lite, NewRoute(name="spam", path="/spam", baseline="a"), author=ANN)
    refused_without_a_trace(
        lite,
        Ambiguous,
        "  modelctl canary fraud b --percent 5%\n  modelctl canary spam b --percent 5%$",
        lambda: start(lite, candidates=("b",)),
    )


def test_with_two_free_backends_the_candidate_must_be_named_and_the_commands_are_printed(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    refused_without_a_trace(
        lite, Ambiguous, "  modelctl shadow fraud b --percent 100%\n  modelctl shadow fraud c", lambda: start(lite, "shadow")
    )


def test_without_a_free_backend_or_a_route_the_next_command_is_said(lite: Engine) -> None:
    with pytest.raises(InvalidInput, match="modelctl route add"):
        start(lite)
    populate(lite, "a")
    with pytest.raises(InvalidInput, match="modelctl backend add"):
        start(lite)


def test_an_ab_test_needs_no_candidates_beside_its_shares(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    change = start(lite, "ab", parameters={"shares_bp": {"a": 5000, "b": 3000, "c": 2000}})
    assert change.subject.candidates == ("b", "c")


def test_a_route_has_one_open_rollout_at_most(engine: Engine) -> None:
    populate(engine, "a", "b", "c")
    start(engine, candidates=("b",))
    refused_without_a_trace(
        engine, Conflict, "open rollout: 1 .canary, progressing.. End it first", lambda: start(engine, candidates=("c",))
    )


def test_advancing_opens_a_new_stage_and_closes_the_old_one(engine: Engine) -> None:
    populate(engine, "a", "b")
    first = start(engine, parameters={"percent_bp": 500, "steps_bp": [2500]}).subject
    moved = move_rollout(engine, 1, move=Move(verb=Verb.ADVANCE), author=Author(actor="ann", at=AT + 5_000)).subject
    assert answers(engine) == {"a": 7500, "b": 2500}
    assert moved.stage != first.stage
    with reading(engine) as connection:
        rows = connection.execute(select(stage.c.id, stage.c.opened_at, stage.c.closed_at).order_by(stage.c.id)).all()
    assert [tuple(row) for row in rows] == [(first.stage, AT, AT + 5_000), (moved.stage, AT + 5_000, 0)]


def test_a_pause_keeps_shares_stage_and_salt_and_a_resume_too(lite: Engine) -> None:
    populate(lite, "a", "b")
    before = start(lite).subject
    route = live(lite)
    for verb, phase in ((Verb.PAUSE, Phase.PAUSED), (Verb.RESUME, Phase.PROGRESSING)):
        moved = move(lite, 1, verb)
        assert (moved.phase, moved.stage, live(lite)) == (phase, before.stage, route)


def test_a_promotion_moves_the_baseline_and_ends_the_rollout(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine)
    change = move_rollout(engine, 1, move=Move(verb=Verb.PROMOTE), author=ANN)
    assert (change.subject.phase, change.subject.winner, change.bereft) == (Phase.PROMOTED, "b", ("a",))
    assert answers(engine) == {"b": 10_000}
    assert read_catalog(engine).route("fraud").baseline == "b"
    newest = read_events(engine, "fraud", limit=1, cursor=None).items[0]
    assert newest.detail == {"baseline_from": "a", "baseline_to": "b"}


def test_promoting_one_of_several_needs_the_winner_and_the_commands_are_printed(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    start(lite, "ab", parameters={"shares_bp": {"a": 4000, "b": 3000, "c": 3000}})
    refused_without_a_trace(
        lite,
        Ambiguous,
        "modelctl promote fraud --winner b\n  modelctl promote fraud --winner c",
        lambda: move(lite, 1, Verb.PROMOTE),
    )
    refused_without_a_trace(
        lite, InvalidInput, "to keep the baseline: modelctl rollback", lambda: move(lite, 1, Verb.PROMOTE, winner="a")
    )
    refused_without_a_trace(lite, InvalidInput, "a winner goes with promote", lambda: move(lite, 1, Verb.PAUSE, winner="b"))
    assert move(lite, 1, Verb.PROMOTE, winner="c").winner == "c"
    assert answers(lite) == {"c": 10_000}


def test_a_rollback_gives_everything_back_to_the_baseline(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite)
    change = move_rollout(lite, 1, move=Move(verb=Verb.ROLLBACK), author=ANN)
    assert (change.subject.phase, change.bereft, answers(lite)) == (Phase.ROLLED_BACK, ("b",), {"a": 10_000})
    with reading(lite) as connection:
        assert [row.closed_at for row in connection.execute(select(stage.c.closed_at))] == [AT]


LEGAL = {
    "progressing": {Verb.ADVANCE, Verb.PAUSE, Verb.PROMOTE, Verb.ROLLBACK, Verb.COMPLETE},
    "paused": {Verb.RESUME, Verb.PROMOTE, Verb.ROLLBACK, Verb.COMPLETE},
    "promoted": set[Verb](),
    "rolled-back": set[Verb](),
    "completed": set[Verb](),
}
WAYS = {
    "progressing": [],
    "paused": [Verb.PAUSE],
    "promoted": [Verb.PROMOTE],
    "rolled-back": [Verb.ROLLBACK],
    "completed": [Verb.COMPLETE],
}


@pytest.mark.parametrize("phase", list(LEGAL))
@pytest.mark.parametrize("verb", list(Verb))
def test_only_legal_verbs_move_a_rollout(lite: Engine, phase: str, verb: Verb) -> None:
    populate(lite, "a", "b")
    start(lite, parameters={"percent_bp": 500, "steps_bp": [2500]})
    for step in WAYS[phase]:
        move(lite, 1, step)
    if verb in LEGAL[phase]:
        assert move(lite, 1, verb).revision == read_rollout(lite, 1).revision
    else:
        refused_without_a_trace(lite, IllegalMove, f"cannot {verb}", lambda: move(lite, 1, verb))


def test_the_last_step_cannot_be_advanced(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite)
    refused_without_a_trace(lite, IllegalMove, "at its last step, '5% to b'", lambda: move(lite, 1, Verb.ADVANCE))


def test_a_stale_revision_is_refused(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine)
    move(engine, 1, Verb.PAUSE, revision=1)
    for command in (
        lambda: move(engine, 1, Verb.PROMOTE, revision=1),
        lambda: remove_backend(engine, "b", author=ANN, revision=9),
        lambda: remove_route(engine, "fraud", author=ANN, revision=9),
        lambda: put_baseline_back(engine, "fraud", author=ANN, revision=9),
    ):
        refused_without_a_trace(engine, StaleRevision, "somebody changed it", command)


def promoted(engine: Engine, candidate: str) -> None:
    opened = start(engine, candidates=(candidate,)).subject
    move(engine, opened.id, Verb.PROMOTE)


def test_without_an_open_rollout_a_rollback_puts_the_previous_baseline_back(engine: Engine) -> None:
    populate(engine, "a", "b")
    promoted(engine, "b")
    change = put_baseline_back(engine, "fraud", author=ANN)
    assert (change.subject.baseline, change.bereft, answers(engine)) == ("a", ("b",), {"a": 10_000})


def test_a_second_rollback_moves_no_traffic_and_says_how_to_go_on(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    promoted(lite, "b")
    put_baseline_back(lite, "fraud", author=ANN)
    refused_without_a_trace(lite, Conflict, "rolled back already, by ann", lambda: put_baseline_back(lite, "fraud", author=ANN))
    promote = next(event for event in read_events(lite, "fraud", limit=100, cursor=None).items if event.action == "promote")
    refused_without_a_trace(lite, Conflict, f"--to {promote.id}$", lambda: put_baseline_back(lite, "fraud", author=ANN))
    assert put_baseline_back(lite, "fraud", author=ANN, to=promote.id).subject.baseline == "b"
    promoted(lite, "c")
    assert put_baseline_back(lite, "fraud", author=ANN).subject.baseline == "b"


def test_a_rollback_typed_just_after_a_rollout_was_rolled_back_takes_no_promotion_back(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    promoted(lite, "b")
    move(lite, start(lite, "shadow", candidates=("c",)).subject.id, Verb.ROLLBACK)
    refused_without_a_trace(lite, Conflict, "'b' answers everything", lambda: put_baseline_back(lite, "fraud", author=ANN))


def test_a_rollback_to_an_event_puts_the_baseline_of_that_event_back(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    promoted(lite, "b")
    promoted(lite, "c")
    first = next(event for event in read_events(lite, "fraud", limit=100, cursor=None).items if event.action == "add-route")
    assert put_baseline_back(lite, "fraud", author=ANN, to=first.id).subject.baseline == "a"


def test_a_rollback_that_leads_nowhere_is_refused_with_the_reason(lite: Engine) -> None:
    populate(lite, "a", "b")
    refused_without_a_trace(lite, Conflict, "nothing to roll back", lambda: put_baseline_back(lite, "fraud", author=ANN))
    promoted(lite, "b")
    refused_without_a_trace(lite, NotFound, "did not set the baseline", lambda: put_baseline_back(lite, "fraud", author=ANN, to=1))
    remove_backend(lite, "a", author=ANN)
    refused_without_a_trace(lite, Conflict, "'a' was removed", lambda: put_baseline_back(lite, "fraud", author=ANN))


def test_a_new_route_of_an_old_name_does_not_inherit_its_history(lite: Engine) -> None:
    populate(lite, "a", "b")
    promoted(lite, "b")
    remove_route(lite, "fraud", author=ANN)
    add_route(lite, NewRoute(name="fraud", path="/fraud", baseline="b"), author=ANN)
    refused_without_a_trace(lite, Conflict, "nothing to roll back", lambda: put_baseline_back(lite, "fraud", author=ANN))


def together(*commands: Callable[[], object]) -> list[object]:
    """What commands that start at the same moment give back, or raise."""
    gate = threading.Barrier(len(commands))
    results: list[object] = [None] * len(commands)

    def run(place: int, command: Callable[[], object]) -> None:
        gate.wait()
        try:
            results[place] = command()
        except ModelctlError as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(commands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_two_rollouts_started_at_once_one_wins_and_the_other_gets_a_conflict(engine: Engine) -> None:
    populate(engine, "a", "b", "c")
    results = together(lambda: start(engine, candidates=("b",)), lambda: start(engine, candidates=("c",)))
    assert [isinstance(result, Conflict) for result in results].count(True) == 1
    assert len(read_catalog(engine).rollouts) == 1


def test_of_a_promotion_and_a_rollback_at_once_one_wins_and_the_other_gets_a_conflict(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine)
    results = together(lambda: move(engine, 1, Verb.PROMOTE), lambda: move(engine, 1, Verb.ROLLBACK))
    (refused,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(refused, Conflict)
    ended = read_rollout(engine, 1)
    assert answers(engine) == ({"b": 10_000} if ended.phase is Phase.PROMOTED else {"a": 10_000})


def test_many_commands_at_once_leave_one_table_for_each_that_succeeded(engine: Engine) -> None:
    names = [f"b{number}" for number in range(8)]
    results = together(*(lambda name=name: add_backend(engine, backend(name), author=ANN) for name in names))
    stored = [result for result in results if not isinstance(result, Exception)]
    assert all(isinstance(result, Conflict) for result in results if isinstance(result, Exception))
    found = read_catalog(engine)
    assert (found.version, len(found.backends)) == (len(stored), len(stored))
    table = read_table(engine)
    assert table is not None
    assert {one.name for one in decode_table(table.body).backends} == {entry.name for entry in found.backends}


def test_a_rollout_is_stored_as_it_was_returned(engine: Engine) -> None:
    populate(engine, "a", "b")
    opened = start(engine).subject
    assert read_rollout(engine, 1) == opened
    assert read_catalog(engine).open_rollout("fraud") == opened
    assert msgspec.json.decode(msgspec.json.encode(opened), type=Rollout) == opened
