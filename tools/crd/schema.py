"""From a pydantic model to a structural schema, the dialect of OpenAPI v3 that CRDs are written in.

Pydantic's JSON schema needs few changes: the rules of a model and other spellings of its fields are added, references
are resolved (CRDs do not have them), an optional field is absent instead of ``anyOf null``, titles are removed, and a
default is kept only if it should be stored.
"""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from decco.api.model import Model
from decco.api.rules import VALIDATIONS
from tools.descriptions import describe

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
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
    "required",
    "properties",
    "items",
    "additionalProperties",
)
"""The allowed keys, in the order of the output."""

_RULE_ORDER = ("rule", "message", "fieldPath", "reason")


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model; the same model always gives the same, key by key.

    Raises KeyError for a construct that CRDs do not support (a union, a mapping of models).
    """
    describe(model)
    root = model.model_json_schema(by_alias=True, schema_generator=_Generator, mode="validation")
    return _convert(root, root.pop("$defs", {}))


class _Generator(GenerateJsonSchema):
    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        json = super().model_schema(schema)
        model = schema["cls"]
        if not issubclass(model, Model):
            return json
        if model.rules:
            json[VALIDATIONS] = [rule.as_validation() for rule in model.rules]
        for name, field in model.model_fields.items():
            if isinstance(field.validation_alias, AliasChoices):
                first, *others = (choice for choice in field.validation_alias.choices if choice != name)
                for other in others:
                    json["properties"][other] = {
                        **json["properties"][first],
                        "description": f"Another spelling of {first}.",
                    }
        return json


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
        node["items"] = _without_defaults(_convert(node["items"], definitions))
        node["items"].pop("description", None)  # the docstring of the model; the list has its own description
    return _in_order(node, _ORDER)


def _without_defaults(item: Schema) -> Schema:
    """The schema of a list's item, with no default that the API server would store in it.

    Tools that compare a file with the object (Argo CD, ``kubectl apply`` on the client) merge maps, but replace lists
    of custom resources as a whole: an item with one more field than the file is a difference for ever.
    """
    item.pop("default", None)
    for child in item.get("properties", {}).values():
        _without_defaults(child)
    return item


def _in_order(node: Schema, order: tuple[str, ...]) -> Schema:
    unknown = node.keys() - set(order)
    if "additionalProperties" in node and "maxProperties" not in node:
        unknown.add("additionalProperties")  # the cost of a rule about a map without a bound cannot be estimated
    if unknown:
        raise KeyError(f"{', '.join(sorted(unknown))} has no place in a structural schema")
    return {key: node[key] for key in order if key in node}


def _resolve(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """``node`` without reference and without ``anyOf null``; keys beside them have precedence over their content."""
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

    True for a value with a meaning. False for false, null and empty lists: they mean the same as absence, and for some
    fields (``endpoints``) absence has its own meaning. False for objects: their fields have their own defaults.
    """
    return isinstance(default, str | int) and bool(default)
