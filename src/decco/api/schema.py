"""From a pydantic model to a structural schema, the dialect of OpenAPI v3 that CRDs are written in.

Pydantic's JSON schema says almost the right thing. What is left: references are put in place (CRDs have none),
optional is not ``anyOf null`` but absence, titles go, and a default is kept only if it should be stored.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from decco.api.rules import VALIDATIONS

Schema = dict[str, Any]

_ORDER = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
    "required",
    "properties",
    "items",
)
"""Keys as a person reads a schema: what it is, what it admits, what is inside. It is also the list of what may
occur."""

_RULE_ORDER = ("rule", "message", "fieldPath", "reason")


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model; the same model always gives the same, key by key.

    Raises KeyError for a construct that CRDs do not know (a union, a mapping of models).
    """
    root = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(root, root.pop("$defs", {}))


def _convert(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = _resolve(node, definitions)
    if not _is_stored(node.get("default")):
        node.pop("default", None)
    node.pop("title", None)
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
        if "default" in node:  # kubectl explain shows descriptions, but no defaults
            node["description"] += f" Default: {node['default']}."
    if VALIDATIONS in node:
        node[VALIDATIONS] = [_in_order(rule, _RULE_ORDER) for rule in node[VALIDATIONS]]
    if "properties" in node:
        node["properties"] = {name: _convert(child, definitions) for name, child in node["properties"].items()}
    if "items" in node:
        node["items"] = _convert(node["items"], definitions)
        node["items"].pop("description", None)  # the docstring of the model, which the list's own says better
    return _in_order(node, _ORDER)


def _in_order(node: Schema, order: tuple[str, ...]) -> Schema:
    unknown = node.keys() - set(order)
    if unknown:
        raise KeyError(f"{', '.join(sorted(unknown))} has no place in a structural schema")
    return {key: node[key] for key in order if key in node}


def _resolve(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """``node`` without reference and without ``anyOf null``; what stands beside them wins over what they lead to."""
    node = dict(node)
    options = [option for option in node.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        node = {**_resolve(options[0], definitions), **node}
    elif options:
        node["anyOf"] = options
    reference = node.pop("$ref", None)
    if reference is not None:
        node = {**_resolve(definitions[reference.rpartition("/")[2]], definitions), **node}
    return node


def _is_stored(default: Any) -> bool:
    """Whether the API server shall write a default into the object, as it does for a Service's ``protocol: TCP``.

    Yes for a value that says something. Not for false, null and empty lists: they say what absence says, and for some
    fields (``endpoints``) absence is a meaning of its own. Not for objects: their fields have their own defaults.
    """
    return isinstance(default, str | int) and bool(default)
