"""A canary's share of 20,000 requests, who gets it, and what is written down about it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import pytest

from modelctl.traffic import assign, decode_table
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Ask, Load, Reply, failures, wrong
from tests.acceptance.program import Program, running
from tests.acceptance.scene import add_backends, add_route

REQUESTS = 20_000
UNITS = 4_000


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("canary"), workers=2) as program:
        add_backends(program, models)
        yield program


@pytest.fixture
def ledger(program: Program) -> Ledger:
    return Ledger(program.database_url)


def asks(prefix: str, path: str, *, requests: int, units: int = 0) -> list[Ask]:
    """Distinct requests; with `units`, from that many users in turn."""
    return [
        Ask(f"{prefix}-{number}", b'{"x":%d}' % number, path, f"user-{number % units}" if units else "")
        for number in range(requests)
    ]


def send(program: Program, plan: Iterable[Ask]) -> list[Reply]:
    """Every answer; all must be good, and answers to their own requests."""
    replies = Load(program.port, plan, connections=24).run()
    assert not failures(replies)
    assert wrong(replies) == []
    return replies


def share(replies: list[Reply], arm: str) -> float:
    """Percent of the requests that `arm` answered."""
    return 100 * sum(reply.arm == arm for reply in replies) / len(replies)


def arms_by_unit(replies: list[Reply]) -> dict[str, set[str]]:
    """Which arms answered each user."""
    found: dict[str, set[str]] = defaultdict(set)
    for reply in replies:
        found[reply.ask.unit].add(reply.arm)
    return found


def stage_rows(ledger: Ledger, prefix: str) -> set[tuple[str, str, int]]:
    """The arms, roles and probabilities that the predictions of one run were recorded with."""
    found = ledger.rows("SELECT DISTINCT arm, role, probability FROM prediction WHERE request_id LIKE :like", like=f"{prefix}-%")
    return {(row.arm, row.role, row.probability) for row in found}


def test_a_canary_of_5_percent_of_requests_answers_5_percent_of_them(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "single")
    program.modelctl("canary", "single", "new", "--percent", "5").done()
    replies = send(program, asks("single", path, requests=REQUESTS))
    assert 4.4 < share(replies, "new") < 5.6
    assert {reply.arm for reply in replies} == {"old", "new"}
    ledger.recorded(replies, "single")
    assert stage_rows(ledger, "single") == {("old", "baseline", 9500), ("new", "candidate", 500)}


def test_a_canary_of_users_keeps_each_on_one_arm_and_a_higher_step_only_adds_users_to_it(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "sticky", "--unit", "header:x-user-id")
    program.modelctl("canary", "sticky", "new", "--percent", "5", "--steps", "5,20").done()
    first = send(program, asks("five", path, requests=REQUESTS, units=UNITS))
    before = arms_by_unit(first)
    assert len(before) == UNITS
    assert all(len(arms) == 1 for arms in before.values())
    moved = {unit for unit, arms in before.items() if arms == {"new"}}
    # Five standard deviations of 4,000 users: a new salt for every canary draws others.
    assert 3.28 < 100 * len(moved) / UNITS < 6.72

    program.modelctl("advance", "sticky").done()
    second = send(program, asks("twenty", path, requests=2 * UNITS, units=UNITS))
    after = arms_by_unit(second)
    assert all(len(arms) == 1 for arms in after.values())
    raised = {unit for unit, arms in after.items() if arms == {"new"}}
    assert moved < raised
    assert 16.8 < 100 * len(raised) / UNITS < 23.2

    ledger.recorded(first, "five")
    ledger.recorded(second, "twenty")
    assert stage_rows(ledger, "five") == {("old", "baseline", 9500), ("new", "candidate", 500)}
    assert stage_rows(ledger, "twenty") == {("old", "baseline", 8000), ("new", "candidate", 2000)}
    ledger.conserved()


def test_another_percent_for_the_open_canary_only_adds_users_to_it(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "widened", "--unit", "header:x-user-id")
    found: list[set[str]] = []
    for number, percent in enumerate((10, 40)):
        program.modelctl("canary", "widened", "new", "--percent", str(percent)).done()
        replies = send(program, asks(f"widened{number}", path, requests=2_000, units=1_000))
        arms = arms_by_unit(replies)
        assert all(len(answered_by) == 1 for answered_by in arms.values())
        found.append({unit for unit, answered_by in arms.items() if answered_by == {"new"}})
        ledger.recorded(replies, f"widened{number}")
        assert ("new", "candidate", 100 * percent) in stage_rows(ledger, f"widened{number}")
    assert found[0] < found[1]
    assert ledger.one("SELECT count(*) FROM rollout WHERE route = 'widened'") == 1


def test_what_is_recorded_is_what_the_client_was_answered(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "exact", "--unit", "header:x-user-id")
    program.modelctl("canary", "exact", "new", "--percent", "50").done()
    replies = send(program, asks("exact", path, requests=1_000, units=100))
    ledger.recorded(replies, "exact")
    rows = ledger.rows(
        "SELECT request_id, arm, unit, status, outcome, label, answer_body, target FROM prediction WHERE request_id LIKE 'exact-%'"
    )
    recorded = {row.request_id: (row.arm, row.unit, row.status, row.outcome, row.label, bytes(row.answer_body)) for row in rows}
    answered = {reply.ask.id: (reply.arm, reply.ask.unit, 200, "ok", reply.label, reply.body) for reply in replies}
    assert recorded == answered
    assert {row.target for row in rows} == {"/exact"}


def test_the_router_decides_as_the_published_rule_says_for_every_user(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "ruled", "--unit", "header:x-user-id")
    program.modelctl("canary", "ruled", "new", "--percent", "30").done()
    replies = send(program, asks("ruled", path, requests=1_000, units=1_000))
    table = decode_table(ledger.one("SELECT body FROM routing_table ORDER BY version DESC LIMIT 1").encode())
    (route,) = [route for route in table.routes if route.name == "ruled"]
    assert {reply.ask.unit: reply.arm for reply in replies} == {
        f"user-{number}": assign(route, f"user-{number}".encode()).arm.backend for number in range(1_000)
    }
