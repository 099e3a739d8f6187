"""Every call of the control API and every object it speaks of, from the OpenAPI document that it answers."""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.site.text import anchor, code, table
from modelctl.controlplane.api.app import ENDPOINTS
from modelctl.controlplane.api.openapi import document

Schema = Mapping[str, Any]


def markdown() -> str:
    """The calls, then the objects."""
    whole = document(ENDPOINTS)
    calls = [_call(method, path, operation) for path, methods in whole["paths"].items() for method, operation in methods.items()]
    objects = [_object(name, schema) for name, schema in sorted(whole["components"]["schemas"].items())]
    return "\n\n".join(["## Calls", *calls, "## Objects", *objects])


def _call(method: str, path: str, operation: Schema) -> str:
    parts = [f"(call-{anchor(f'{method} {path}')})=\n### `{method.upper()} {path}`", f"{operation['summary']}."]
    if operation["parameters"]:
        parts.append(table(("parameter", "in", "type", "default"), [_parameter(one) for one in operation["parameters"]]))
    sent = _content(operation.get("requestBody", {}))
    status, answer = next(iter(operation["responses"].items()))
    return "\n\n".join([*parts, *([f"Body: {sent}."] if sent else []), f"Answer: {status}, {_content(answer) or 'no JSON'}."])


def _parameter(one: Schema) -> list[str]:
    default = "required" if one["required"] else code(_default(one["schema"]))
    return [code(one["name"]), one["in"], said(one["schema"]), default]


def _content(message: Schema) -> str:
    return next((said(part["schema"]) for part in message.get("content", {}).values()), "")


def _object(name: str, schema: Schema) -> str:
    head = f"(object-{anchor(name)})=\n### `{name}`"
    parts = [head, " ".join(schema.get("description", "").split())]
    if "properties" not in schema:
        return "\n\n".join([*filter(None, parts), said(schema)])
    needed = schema.get("required", [])
    rows = [_field(field, part, required=field in needed) for field, part in schema["properties"].items()]
    return "\n\n".join([*filter(None, parts), *([table(("field", "type", "default"), rows)] if rows else [])])


def _field(name: str, part: Schema, *, required: bool) -> list[str]:
    return [code(name), said(part), "required" if required else code(_default(part))]


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else str(default)


def said(schema: Schema) -> str:
    """The type in words, with a link to each object in it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#object-{anchor(name)})"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(said(one) for one in schema[word])
    if "enum" in schema:
        return " or ".join(code(one if one != "" else '""') for one in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    return " ".join([*_typed(schema), *_bounds(schema)]) or "anything"


def _typed(schema: Schema) -> Iterator[str]:
    kind = schema.get("type", "")
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items") or {}]
        yield f"list of {', '.join(said(one) for one in parts if isinstance(one, Mapping))}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        yield f"object of {said(schema['additionalProperties'])}"
    elif kind:
        yield str(kind)


def _bounds(schema: Schema) -> Iterator[str]:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    yield from (f"{word} {schema[key]}" for key, word in words.items() if key in schema)
    if "maxLength" in schema:
        yield f"of at most {schema['maxLength']} characters"
