"""The description of Docker's Engine API as tests use it: what an operation answers, and what it is asked.

Swagger 2.0 is near JSON Schema: references to definitions stand where they stood. Go writes null for a slice or map that it has not made,
whatever the description says of them, so null is good for every array and every object; `x-nullable` says so of the rest.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

FILE = Path(__file__).resolve().parent / "api" / "swagger-1.56.yaml"
METHODS = ("get", "head", "post", "put", "delete")


@functools.cache
def description() -> dict[str, Any]:
    """The whole document."""
    loaded: dict[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of every one."""
    for path, item in description()["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


@functools.cache
def definitions() -> dict[str, Any]:
    """The definitions as JSON Schema."""
    return {name: as_json_schema(schema) for name, schema in description()["definitions"].items()}


def as_json_schema(schema: Any) -> Any:
    """A schema of Swagger 2.0 as JSON Schema."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: value for key, value in schema.items() if key not in ("example", "examples", "description", "title", "format", "discriminator")}
    for key in ("properties", "patternProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = {name: as_json_schema(part) for name, part in plain[key].items()}
    for key in ("items", "additionalProperties", "allOf", "anyOf", "oneOf"):
        if key in plain:
            plain[key] = as_json_schema(plain[key])
    if isinstance(plain.get("type"), str) and (plain.get("x-nullable") or plain["type"] in ("array", "object")):
        plain["type"] = [plain["type"], "null"]
        if "enum" in plain:
            plain["enum"] = [*plain["enum"], None]
    return plain


@functools.cache
def validator(method: str, path: str, status: int) -> Any:
    """What checks the body of an answer; None where the description says nothing of it."""
    item = description()["paths"].get(path, {}).get(method.lower(), {})
    answer = item.get("responses", {}).get(status) or item.get("responses", {}).get(str(status))
    if answer is None or "schema" not in answer:
        return None
    return jsonschema_rs.Draft4Validator({**as_json_schema(answer["schema"]), "definitions": definitions()})


def faults(method: str, path: str, status: int, body: Any) -> list[str]:
    """Where the body of an answer is not as described; `path` as the description writes it ("/containers/{id}/json")."""
    found = validator(method, path, status)
    if found is None:
        return []
    return [f"{method} {path} {status}: {'/'.join(map(str, e.instance_path)) or 'the body'}: {e.message[:300]}" for e in found.iter_errors(body)]


def documented(method: str, path: str) -> set[int]:
    """The statuses that an operation is described to answer with."""
    return {int(status) for status in description()["paths"][path][method.lower()]["responses"]}
