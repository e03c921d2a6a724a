"""Renders the connectivity graph as text and as a Mermaid flowchart; the SVG is in ``views/drawing.py``.

All Spaces of one project may connect to each other. They are drawn as a box instead of with arrows; arrows show
external sources and the egresses of Apps.
"""

from __future__ import annotations

from collections.abc import Iterator

from decco.cli.output import Style
from decco.text import clean
from decco.views.connectivity import MONITORING, Call, ConnectivityGraph, Node
from decco.views.drawing import clients, groups, outsiders, placed, remarks, svg

__all__ = ["mermaid", "svg", "text"]


# -- text -------------------------------------------------------------------------------------------------------------


def text(graph: ConnectivityGraph, style: Style) -> str:
    """The graph as text; every name is cleaned before it is coloured."""
    lines: list[str] = []
    spaces = {node.name for node in graph.nodes}
    for title, members in groups(graph).items():
        lines.append(style.head(clean(title[0].upper() + title[1:])))
        for node in members:
            lines += _text_of(node, graph, style, spaces)
        lines.append("")
    return "\n".join(lines) if lines else "there is no Space\n"


def _text_of(node: Node, graph: ConnectivityGraph, style: Style, spaces: set[str]) -> Iterator[str]:
    yield f"  {style.head(clean(node.name))}  {clean(node.fqdn)}"
    by_ports: dict[tuple[str, ...], list[str]] = {}
    for who, ports in sorted(node.allowed_from.items()):
        by_ports.setdefault(tuple(f"{port.endpoint}:{port.port}" for port in ports), []).append(who)
    for names, whos in by_ports.items():
        yield f"    {clean(', '.join(names))}  {style.dim('from')} {clean(_names(whos, spaces))}"
    if not node.allowed_from:
        yield f"    {style.dim('nothing of it can be reached from outside')}"
    if node.clients is not None:
        yield f"    {style.dim('the edge serves')} {clean(clients(node))}"
    if node.placed is not None:
        yield f"    {clean(placed(node.placed))}"
    for app, each in node.apps_placed.items():
        yield f"    {clean(app)}: {clean(placed(each))}"
    if node.leads_to is not None:
        listed = "; ".join([*node.leads_to, "what its Apps call"])
        yield f"    {style.dim('its pods connect only to')} {clean(listed)}"
    for call in graph.calls:
        if call.caller.namespace == node.name:
            yield f"    {clean(call.caller.name)} {style.dim('calls')} {_called(call, style)}"


def _called(call: Call, style: Style) -> str:
    where = call.target if call.space in (None, call.caller.namespace) else f"{call.target} of {call.space}"
    return clean(where) + (style.bad(f"  refused: {clean(call.why)}") if call.allowed is False else "")


def _names(whos: list[str], spaces: set[str]) -> str:
    members = [who for who in whos if who in spaces]
    others = ["namespaces labelled for monitoring" if who == MONITORING else who for who in whos if who not in spaces]
    words = ([f"{'Spaces' if len(members) > 1 else 'Space'} {', '.join(members)}"] if members else []) + others
    return "; ".join(words)


# -- Mermaid ----------------------------------------------------------------------------------------------------------


def mermaid(graph: ConnectivityGraph) -> str:
    """A flowchart (https://mermaid.js.org/syntax/flowchart.html); ids are generated, names are always quoted."""
    lines = ["flowchart LR"]
    ids = {node.name: f"s{number}" for number, node in enumerate(graph.nodes)}
    others: dict[str, str] = {}
    for number, (title, members) in enumerate(groups(graph).items()):
        lines.append(f"  subgraph g{number}[{_quoted(title)}]")
        for node in members:
            lines_ = [*(f"{port.endpoint}:{port.port}" for port in node.ports), *remarks(node)]
            ports = "".join(f"<br/>{_plain(line)}" for line in lines_)
            lines.append(f'    {ids[node.name]}["{_plain(node.name)}{ports}"]')
        lines.append("  end")
        for who in outsiders(members, set(ids)):
            others.setdefault(who, f"o{len(others)}")
            lines.append(f"  {others[who]} --> g{number}")
    outside: dict[str, str] = {}
    for call in graph.calls:
        source = ids.get(call.caller.namespace)
        if source is None:
            continue
        if call.space is None or call.space not in ids:
            target = outside.setdefault(f"{call.target}", f"x{len(outside)}")
        else:
            target = ids[call.space]
        if call.space == call.caller.namespace:
            continue
        arrow = "-.->" if call.allowed is False else "==>"
        label = f"{call.caller.name} to {call.target}" + (f", refused: {call.why}" if call.allowed is False else "")
        lines.append(f"  {source} {arrow}|{_quoted(label)}| {target}")
    lines += [f"  {name}([{_quoted(who)}])" for who, name in (others | outside).items()]
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    """Escape special characters by code point, as Mermaid defines it."""
    return "".join(char if char.isalnum() or char in " .:-_/," else f"#{ord(char)};" for char in clean(name))


def _quoted(name: str) -> str:
    return f'"{_plain(name)}"'
