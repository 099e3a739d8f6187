"""Handing a form to the API: once, however often a button is pressed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from modelctl.controlplane.api.idempotency import HEADER
from modelctl.controlplane.dashboard.api_call import Answer, post
from modelctl.controlplane.dashboard.visit import Visit
from modelctl.errors import UnderWay

PATIENCE = 40
PAUSE = 0.25
"""Seconds between two looks at whether the first press of a button has been answered."""


async def command(visit: Visit, path: str, *, fields: Mapping[str, str], body: Mapping[str, Any], revision: str = "") -> Answer:
    """The API's answer to a form. The second press of a button gets the answer to the first."""
    headers = {HEADER: fields["key"]} if fields.get("key") else {}
    if revision:
        headers["if-match"] = f'"{revision}"'
    said = {name: fields[name] for name in ("reason", "actor") if fields.get(name)}
    for _ in range(PATIENCE):
        answer = await post(visit.site.api, path, body={**body, **said}, headers=headers)
        if answer.problem is None or answer.problem.code != UnderWay.code:
            break
        await asyncio.sleep(PAUSE)
    return answer
