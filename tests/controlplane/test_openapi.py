"""The document and the application are made from one table; this checks that nothing stands beside it."""

import re

from sqlalchemy import Engine
from starlette.routing import Route

from modelctl.controlplane.api.app import ENDPOINTS, create_app
from modelctl.controlplane.api.openapi import document, operation_id, template
from modelctl.settings import Settings

DOCUMENT = document(ENDPOINTS)


def test_every_route_of_the_application_is_in_the_document(lite: Engine) -> None:
    app = create_app(lite, Settings())
    served = {(template(route.path), method) for route in app.routes if isinstance(route, Route) for method in route.methods or ()}
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert {pair for pair in served if pair[1] != "HEAD"} == described
    assert all(isinstance(route, Route) for route in app.routes)


def test_every_reference_leads_to_a_schema() -> None:
    wanted = set(re.findall(r"#/components/schemas/([^'\"]+)", repr(DOCUMENT)))
    assert wanted
    assert wanted <= set(DOCUMENT["components"]["schemas"])


def test_every_operation_has_its_own_id_and_says_how_it_fails() -> None:
    ids = [operation_id(one) for one in ENDPOINTS]
    assert len(set(ids)) == len(ids)
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_parameters_are_described_with_their_types() -> None:
    verb = DOCUMENT["paths"]["/v1/rollouts/{id}:promote"]["post"]
    assert verb["parameters"] == [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]
    poll = {one["name"]: one["required"] for one in DOCUMENT["paths"]["/internal/table"]["get"]["parameters"]}
    assert poll["worker"] is True
    assert poll["after"] is False


def test_a_change_is_described_as_any_of_the_fields_of_its_noun() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["BackendChanges"]["properties"].keys() == schemas["NewBackend"]["properties"].keys() - {"name"}
    assert schemas["RouteChanges"]["properties"].keys() == schemas["NewRoute"]["properties"].keys() - {"name", "baseline"}
    for name in ("BackendChanges", "RouteChanges", "HealthChanges", "AdmissionChanges"):
        assert not schemas[name]["required"]
        assert schemas[name]["additionalProperties"] is False


def test_the_report_is_described_down_to_its_rows() -> None:
    assert "lower" in DOCUMENT["components"]["schemas"]["Row"]["properties"]
