"""The field reference of a kind, as Markdown, from its CRD: the words of ``kubectl explain``, and all rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from decco.api.rules import IMMUTABLE, VALIDATIONS
from decco.objects import Obj
from tools.crd.schema import Schema


def reference(crd: Obj) -> str:
    """One page: the kind, a table of fields per object, the rules on fields that stand together."""
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    scope, short = crd["spec"]["scope"], names["shortNames"][0]
    lines = [
        "<!-- Generated from the models in src/decco/api by `python -m tools.generate`; do not edit. -->",
        f"# {names['kind']}",
        "",
        schema["description"],
        "",
        f"`{crd['spec']['group']}/{version['name']}`, scope {scope}; short name `{short}`.",
    ]
    rules = [_rule(rule, names["singular"]) for rule in schema[VALIDATIONS]]
    for part in ("spec", "status"):
        for path, node in _objects(f"{names['singular']}.{part}", schema["properties"][part]):
            lines += ["", f"## {path}", "", "| field | type | meaning |", "|---|---|---|"]
            lines += [_row(name, child, name in node.get("required", ())) for name, child in node["properties"].items()]
            rules += [_rule(rule, path) for rule in node.get(VALIDATIONS, ())]
    lines += ["", "## Refused at admission", "", "Beside what the tables say:", "", *rules, ""]
    return "\n".join(lines)


def _objects(path: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    """Every object with fields of its own, outermost first; without objects of Kubernetes and alternative spellings."""
    if node.get("x-kubernetes-preserve-unknown-fields") or node.get("description", "").startswith("Another spelling"):
        return
    if "properties" in node:
        yield path, node
        for name, child in node["properties"].items():
            yield from _objects(f"{path}.{name}", child)
    elif "items" in node:
        yield from _objects(f"{path}[]", node["items"])


def _row(name: str, node: Schema, required: bool) -> str:
    words = [_type(node)]
    if required:
        words.append("required")
    notes = [node.get("description", "")]
    content = node.get("items", node)
    if "properties" not in content:
        subject = "Each" if "items" in node else "It"
        rules = [rule for rule in content.get(VALIDATIONS, ()) if rule["rule"] != IMMUTABLE]
        notes += [f"{subject} {rule['message']}." for rule in rules]
    if "maxLength" in content and VALIDATIONS in content:
        notes.append(f"At most {content['maxLength']} characters.")
    if "maxItems" in node:
        notes.append(f"At most {node['maxItems']} items.")
    return f"| `{name}` | {', '.join(words)} | {_cell(' '.join(notes))} |"


def _type(node: Schema) -> str:
    if "enum" in node:
        return " / ".join(f"`{value}`" for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "integer or text"
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if node["type"] == "integer" and "maximum" in node and node["maximum"] < 2**31 - 1:
        return f"integer {node['minimum']}-{node['maximum']}"
    return {"boolean": "bool"}.get(node["type"], str(node["type"]))


def _rule(rule: dict[str, Any], path: str) -> str:
    return f"* `{path}{rule.get('fieldPath', '')}` {_cell(rule['message'])}."


def _cell(text: str) -> str:
    """Text that stays in its table cell and shows "<name>" as it stands."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
