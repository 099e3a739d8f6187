"""The rules of an open rollout, over HTTP."""

import msgspec

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.api.rollouts import Moved
from modelctl.controlplane.asking import strict
from modelctl.controlplane.operations.ruling import PlacedRule, add_rule, remove_rule


class GoneRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rule goes, why and who says so."""

    name: str
    reason: str = ""
    actor: str = ""


async def create_rule(call: Call) -> Moved:
    rollout = call.request.path_params["id"]
    change = await call.run(add_rule, rollout, wanted=call.body, author=call.author(), revision=call.revision())
    return Moved(rollout=change.subject, convergence=await call.conclude(change))


async def delete_rule(call: Call) -> Moved:
    rollout = call.request.path_params["id"]
    change = await call.run(remove_rule, rollout, name=call.body.name, author=call.author(), revision=call.revision())
    return Moved(rollout=change.subject, convergence=await call.conclude(change))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/rollouts/{id:int}:add-rule",
        handle=create_rule,
        summary="Send matching requests to an arm, past the split",
        body=strict(PlacedRule),
        answer=Moved,
    ),
    Endpoint(
        method="POST",
        path="/v1/rollouts/{id:int}:remove-rule",
        handle=delete_rule,
        summary="Take a rule away",
        body=GoneRule,
        answer=Moved,
    ),
)
