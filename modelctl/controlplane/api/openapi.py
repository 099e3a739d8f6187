"""The OpenAPI 3.1 document, made from the same table as the routes and from the types they encode: it cannot drift. Pure."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from modelctl import __version__
from modelctl.controlplane.api.call import Endpoint
from modelctl.controlplane.api.problems import Problem

_PARAMETER = re.compile(r"\{(?P<name>\w+):(?P<kind>\w+)\}")
_REF = "#/components/schemas/{name}"
_JSON = "application/json"


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document."""
    types = [type_ for one in endpoints for type_ in (one.answer, one.body) if type_ is not None]
    schemas, components = msgspec.json.schema_components([Problem, *types], ref_template=_REF)
    by_type = dict(zip([repr(type_) for type_ in [Problem, *types]], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(template(one.path), {})[one.method.lower()] = _operation(one, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "modelctl control plane", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def template(path: str) -> str:
    """The path as OpenAPI writes it: `{name}` without the kind of the parameter."""
    return _PARAMETER.sub(lambda found: f"{{{found['name']}}}", path)


def _operation(one: Endpoint, schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    problem = {"description": "A problem", "content": {"application/problem+json": {"schema": schemas[repr(Problem)]}}}
    answer: dict[str, Any] = {"description": one.summary}
    if one.answer is not None:
        answer["content"] = {_JSON: {"schema": schemas[repr(one.answer)]}}
    operation: dict[str, Any] = {
        "summary": one.summary,
        "operationId": operation_id(one),
        "parameters": [*_in_path(one.path), *_in_query(one.query)],
        "responses": {str(one.status): answer, "default": problem},
    }
    if one.body is not None:
        operation["requestBody"] = {"content": {_JSON: {"schema": schemas[repr(one.body)]}}}
    return operation


def operation_id(one: Endpoint) -> str:
    """Unique in the document: the method and the words of the path."""
    words = re.findall(r"[a-z0-9]+", template(one.path))
    return "_".join([one.method.lower(), *words])


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": found["name"],
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if found["kind"] == "int" else "string"},
        }
        for found in _PARAMETER.finditer(path)
    ]


def _in_query(query: Any) -> list[dict[str, Any]]:  # noqa: ANN401 a type, or None
    if query is None:
        return []
    (_,), components = msgspec.json.schema_components([query], ref_template=_REF)
    schema = components[query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": part} for name, part in schema["properties"].items()
    ]
