"""The rules of an open rollout: requests that go to one of its arms past the split.

A rule opens no stage: whether a request is drawn at all is settled before an arm is drawn for it, the same for every arm, so the
arms stay comparable before and after. It changes whom the comparison is about, so it stands in the history.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.operations.change import Author, Change, check_revision, publish
from modelctl.errors import Conflict, IllegalMove, InvalidInput, NotFound
from modelctl.rollout import Rollout
from modelctl.rule import Rule, check_rules
from modelctl.store import catalog as store
from modelctl.store.catalog import Event
from modelctl.store.engine import writing

T = TypeVar("T")


class PlacedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it is asked for: its place among the others (0 is first), the last one when that is not said."""

    rule: Rule
    at: int | None = None
    reason: str = ""
    actor: str = ""


class Ruled(NamedTuple):
    """A rollout with other rules, and what the history says: what was done, and with which rule."""

    rollout: Rollout
    action: str
    rule: Rule


def add_rule(engine: Engine, rollout: int, *, wanted: PlacedRule, author: Author, revision: int | None = None) -> Change[Rollout]:
    """The open rollout with one rule more. Raises NotFound, StaleRevision, IllegalMove, Conflict for a name that is taken,
    InvalidInput."""
    return _store(engine, rollout, change=with_rule, wanted=wanted, author=author, revision=revision)


def remove_rule(engine: Engine, rollout: int, *, name: str, author: Author, revision: int | None = None) -> Change[Rollout]:
    """The open rollout without the rule `name`. Raises NotFound, StaleRevision, IllegalMove."""
    return _store(engine, rollout, change=without_rule, wanted=name, author=author, revision=revision)


def with_rule(rollout: Rollout, wanted: PlacedRule) -> Ruled:
    """The rollout with the rule, and what the history says of it. Pure."""
    if any(rule.name == wanted.rule.name for rule in rollout.rules):
        raise Conflict(
            f"rollout {rollout.id} of route {rollout.route!r} has a rule {wanted.rule.name!r} already; "
            f"remove it first: modelctl rule remove {rollout.route} {wanted.rule.name}"
        )
    place = len(rollout.rules) if wanted.at is None else wanted.at
    if not 0 <= place <= len(rollout.rules):
        raise InvalidInput(f"the place of a rule must be from 0 to {len(rollout.rules)}, the number of those that are there")
    rules = (*rollout.rules[:place], wanted.rule, *rollout.rules[place:])
    check_rules(rules, frozenset((rollout.baseline, *rollout.candidates)), route=rollout.route)
    return Ruled(_ruled(rollout, rules), "add-rule", wanted.rule)


def without_rule(rollout: Rollout, name: str) -> Ruled:
    """The rollout without the rule, and what the history says of it. Pure."""
    gone = next((rule for rule in rollout.rules if rule.name == name), None)
    if gone is None:
        there_are = ", ".join(rule.name for rule in rollout.rules) or "none"
        raise NotFound(f"rollout {rollout.id} of route {rollout.route!r} has no rule {name!r}; its rules: {there_are}")
    return Ruled(_ruled(rollout, tuple(rule for rule in rollout.rules if rule is not gone)), "remove-rule", gone)


def _ruled(rollout: Rollout, rules: tuple[Rule, ...]) -> Rollout:
    if not rollout.open:
        raise IllegalMove(f"rollout {rollout.id} of route {rollout.route!r} has ended ({rollout.phase}), and its rules with it")
    return msgspec.structs.replace(rollout, rules=rules, revision=rollout.revision + 1)


def _store(
    engine: Engine, rollout: int, *, change: Callable[[Rollout, T], Ruled], wanted: T, author: Author, revision: int | None
) -> Change[Rollout]:
    with writing(engine) as connection:
        before = store.load(connection)
        current = store.find_rollout(connection, rollout)
        check_revision(f"rollout {rollout}", wanted=revision, current=current.revision)
        ruled = change(current, wanted)
        store.save_rollout(connection, ruled.rollout, replaces=current.revision)
        rollouts = tuple(ruled.rollout if other.id == rollout else other for other in before.rollouts)
        after = msgspec.structs.replace(before, rollouts=rollouts)
        table, lost = publish(connection, before, after=after, event=_event(ruled, author))
    return Change(subject=ruled.rollout, table=table, bereft=lost)


def _event(ruled: Ruled, author: Author) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action=ruled.action,
        route=ruled.rollout.route,
        rollout=ruled.rollout.id,
        backend=ruled.rule.arm,
        reason=author.reason,
        detail={"rule": msgspec.to_builtins(ruled.rule), "rules": [rule.name for rule in ruled.rollout.rules]},
    )
