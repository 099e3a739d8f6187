"""What is wrong with how a case went: a list of sentences, empty when all is well."""

from collections.abc import Callable, Iterator, Sequence

from tests.router.http_cases.case import Case, Rule, wire
from tests.router.http_cases.play import Play

Fields = Sequence[tuple[bytes, bytes]]
Check = Callable[[Case, Play], Iterator[str]]
MOST = 3  # of the four proxies: what they refuse is not accepted


def judge(case: Case, play: Play) -> list[str]:
    """Every fault, with what was there instead."""
    if case.rule.silent_ok and not play.answers and not play.whole:
        return _harm(play)
    return [fault for check in CHECKS for fault in check(case, play)] + _harm(play)


def _harm(play: Play) -> list[str]:
    """What must not happen in any case."""
    faults = [f"the backend got what is not HTTP: {fault}" for fault in play.faults]
    if play.follow_up:
        faults.append(f"the next request got: {play.follow_up}")
    faults += [f"left unfinished: {arrival.line!r}" for arrival in play.arrivals if not arrival.complete and not arrival.left_at]
    return faults


def _expectation(case: Case, play: Play) -> Iterator[str]:
    expect = case.rule.expect
    if expect == "refused" or (expect == "either" and not play.accepted):
        yield from _refused(case.rule, play)
    elif expect in ("passed", "either"):
        yield from _passed(play)


def _refused(rule: Rule, play: Play) -> Iterator[str]:
    statuses = [answer.status_code for answer in play.answers]
    allowed = rule.statuses or [400]
    if len(statuses) > 1 or any(status not in allowed for status in statuses):
        yield f"answered {statuses}, not one of {allowed}"
    if not all(talk.ended for talk in play.talks):
        yield "the connection stayed open"
    if play.whole:
        yield f"forwarded {[arrival.line for arrival in play.whole]}"


def _passed(play: Play) -> Iterator[str]:
    statuses = [answer.status_code for answer in play.answers]
    if statuses != [200] or len(play.whole) != 1:
        yield f"answered {statuses}, forwarded {[arrival.line for arrival in play.whole]}"


def _answers(case: Case, play: Play) -> Iterator[str]:
    rule = case.rule
    statuses = [answer.status_code for answer in play.answers]
    if rule.statuses and rule.expect in ("said", "passed") and (not statuses or statuses[0] not in rule.statuses):
        yield f"answered {statuses}, not one of {rule.statuses}"
    if rule.answers and statuses not in rule.answers:
        yield f"answered {statuses}, not {rule.answers}"
    if rule.bodies is not None and play.bodies != [wire(body) for body in rule.bodies]:
        yield f"bodies {play.bodies}"
    interim = [status for talk in play.talks for status in talk.answers.interim]
    if rule.interim is not None and interim != rule.interim:
        yield f"interim answers {interim}, not {rule.interim}"
    seen = b"".join(talk.seen for talk in play.talks)
    yield from (f"the client got {text!r}" for text in rule.never_answered if wire(text) in seen)


def _end(case: Case, play: Play) -> Iterator[str]:
    rule, talk = case.rule, play.talks[0]
    if rule.closes is not None and talk.ended != rule.closes:
        yield "the connection stayed open" if rule.closes else "the connection was closed"
    if rule.cut and not (talk.ended and (not play.answers or play.answers[0].status_code >= 500)):
        yield f"a whole answer: {play.answers[:1]}" if play.answers else "not cut"
    if rule.within and (talk.first_at or talk.ended_at or float("inf")) - talk.started > rule.within:
        yield f"not answered within {rule.within} s"


def _answer_fields(case: Case, play: Play) -> Iterator[str]:
    rule = case.rule
    if not (rule.answer_has or rule.answer_values or rule.answer_lacks):
        return
    answer = play.talks[0].answers.begun
    if answer is None:
        yield "no answer"
        return
    fields = [(bytes(name), bytes(value)) for name, value in answer.headers]
    wanted = {name: [value] for name, value in rule.answer_has.items()} | rule.answer_values
    yield from _differences(fields, wanted | {name: [] for name in rule.answer_lacks}, "answer")


def _differences(fields: Fields, wanted: dict[str, list[str]], what: str) -> Iterator[str]:
    for name, values in wanted.items():
        got = [value for key, value in fields if key.lower() == name.encode()]
        if got != [wire(value) for value in values]:
            yield f"{what} field {name}: {got}, not {values}"


def _request(case: Case, play: Play) -> Iterator[str]:
    rule = case.rule
    if rule.forwarded is not None and len(play.whole) != rule.forwarded:
        yield f"forwarded {[arrival.line for arrival in play.whole]}, not {rule.forwarded}"
    heads = b"".join(arrival.head for arrival in play.arrivals)
    yield from (f"the backend was asked {text!r}" for text in rule.never_asked if wire(text) in heads)
    if not play.whole:
        return
    arrival = play.whole[0]
    wanted = {name: [value] for name, value in rule.has.items()} | rule.values | {name: [] for name in rule.lacks}
    yield from _differences(arrival.fields, wanted, "request")
    for name, text in rule.holds.items():
        if not any(wire(text) in value for value in arrival.all(name.encode())):
            yield f"request field {name}: {arrival.all(name.encode())} without {text!r}"
    for name, text in rule.hides.items():
        if any(wire(text) in value for value in arrival.all(name.encode())):
            yield f"request field {name}: {arrival.all(name.encode())} with {text!r}"


def _content(case: Case, play: Play) -> Iterator[str]:
    rule = case.rule
    if not play.whole:
        return
    arrival = play.whole[0]
    if rule.target is not None and arrival.target != wire(rule.target).replace(b"{}", case.put):
        yield f"target {arrival.target!r}"
    if rule.body is not None and arrival.body != wire(rule.body):
        yield f"body {arrival.body[:200]!r}"
    if rule.same_body and arrival.body != play.sent:
        yield f"{len(arrival.body)} bytes of body that are not the {len(play.sent)} sent"


def _identity(case: Case, play: Play) -> Iterator[str]:
    if case.rule.same_id:
        answered = [bytes(value) for answer in play.answers for name, value in answer.headers if name == b"x-request-id"]
        asked = [value for arrival in play.whole for value in arrival.all(b"x-request-id")]
        if len(answered) != 1 or answered != asked:
            yield f"ids {asked} and {answered}"


def _majority(case: Case, play: Play) -> Iterator[str]:
    if len(case.refused_by) >= MOST and play.accepted:
        yield f"accepted, though {case.refused_by} refuse"


CHECKS: tuple[Check, ...] = (_expectation, _answers, _end, _answer_fields, _request, _content, _identity, _majority)
