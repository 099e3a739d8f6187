"""Starting a rollout: the form, what it would do and its command, and the start."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Engine
from starlette.responses import Response

from modelctl.controlplane.api.problems import Problem, Refused, problem_for
from modelctl.controlplane.dashboard.api_call import post
from modelctl.controlplane.dashboard.commanding import command
from modelctl.controlplane.dashboard.outcome import outcome
from modelctl.controlplane.dashboard.start_forms import FORMS, TERMS, Form, command_of, names_of, order_of
from modelctl.controlplane.dashboard.visit import Visit, fields_of, joined
from modelctl.controlplane.operations.outlook import Plan
from modelctl.controlplane.strategies import plan, recipe_for
from modelctl.errors import InvalidInput, ModelctlError
from modelctl.rollout import Rollout, Step
from modelctl.store import catalog as store
from modelctl.store.catalog import RouteEntry
from modelctl.store.engine import reading


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rollout would start. `backends` are the others that are registered; `opened` is the rollout that is open now."""

    route: RouteEntry
    backends: tuple[str, ...]
    opened: Rollout | None


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What a filled form would do: its ladder, and how long until it can decide."""

    steps: tuple[Step, ...]
    plan: Plan | None


async def show(visit: Visit) -> Response:
    """The form; once it is filled in (`review`), what it would do and the button that does it."""
    form, setting = _form(visit), await visit.run(read_setting, visit.name())
    fields = fields_of(joined(visit.request.query_params.multi_items()), *names_of(form))
    fields["actor"] = fields["actor"] or visit.actor
    if not visit.asked("review"):
        return await _page(visit, setting, fields=fields)
    try:
        review = await _review(visit, setting, fields=fields)
    except ModelctlError as error:
        return await _page(visit, setting, fields=fields, wrong=problem_for(error))
    return await _page(visit, setting, fields=fields, review=review)


async def start(visit: Visit) -> Response:
    """Starts it, and goes to the rollout; or shows the form again with what was wrong."""
    form, given = _form(visit), await visit.form()
    fields = fields_of(given, *names_of(form))
    try:
        order = order_of(_strategy(visit), visit.name(), fields=fields)
    except InvalidInput as error:
        return await _page(visit, await visit.run(read_setting, visit.name()), fields=fields, wrong=problem_for(error))
    answer = await command(visit, "/v1/rollouts", fields=given, body=order.body)
    if answer.problem is not None:
        setting = await visit.run(read_setting, visit.name())
        return await _page(visit, setting, fields=fields, wrong=answer.problem)
    rollout = answer.value["rollout"]
    verb = "changed" if rollout["revision"] > 1 else "started"
    told = outcome(f"{verb} {rollout['strategy']} of {', '.join(rollout['candidates'])} on route {rollout['route']}", answer.value)
    return visit.done(f"/rollouts/{rollout['id']}", told=told, actor=fields["actor"])


def read_setting(engine: Engine, name: str) -> Setting:
    """Raises NotFound."""
    with reading(engine) as connection:
        catalog = store.load(connection)
        route = catalog.route(name)
        others = tuple(entry.name for entry in catalog.backends if entry.name != route.baseline)
        return Setting(route=route, backends=others, opened=catalog.open_rollout(name))


async def _review(visit: Visit, setting: Setting, *, fields: Mapping[str, str]) -> Review:
    """Raises what the start would be refused with, as far as it can be told before."""
    order = order_of(_strategy(visit), setting.route.name, fields=fields)
    recipe = recipe_for(order.body["strategy"], order.body["parameters"])
    candidates: Sequence[str] = order.body.get("candidates") or [name for name in recipe.named if name != setting.route.baseline]
    unknown = [name for name in candidates if name not in setting.backends and name != setting.route.baseline]
    if unknown:
        raise InvalidInput(f"there is no backend {unknown[0]!r}; register it first: modelctl backend add {unknown[0]} URL")
    steps = plan(recipe, setting.route.baseline, candidates=tuple(candidates))
    asked: dict[str, Any] = {name: value for name, value in order.body.items() if name not in ("route", "force")}
    forecast = await post(
        visit.site.api, f"/v1/routes/{setting.route.name}:plan", body=asked | {"candidates": candidates}, headers={}
    )
    if forecast.problem is not None:
        raise InvalidInput(forecast.problem.detail)
    return Review(steps=steps, plan=msgspec.convert(forecast.value, Plan))


async def _page(
    visit: Visit, setting: Setting, *, fields: Mapping[str, str], review: Review | None = None, wrong: Problem | None = None
) -> Response:
    strategy = _strategy(visit)
    return await visit.page(
        "start.html",
        status=wrong.status if wrong else 200,
        setting=setting,
        route=setting.route,
        strategy=strategy,
        form=FORMS[strategy],
        terms=TERMS,
        forms=FORMS,
        fields=fields,
        terms_given=any(fields[field.name] for field in TERMS) or bool(fields["force"]),
        review=review,
        wrong=wrong,
        command_line=command_of(strategy, setting.route.name, fields=fields),
    )


def _strategy(visit: Visit) -> str:
    strategy = str(visit.request.path_params["strategy"])
    if strategy not in FORMS:
        raise Refused(404, f"there is no strategy {strategy!r}; there are {', '.join(FORMS)}")
    return strategy


def _form(visit: Visit) -> Form:
    return FORMS[_strategy(visit)]
