"""Draws the connectivity graph: shapes with their positions, and the SVG made of them.

All Spaces of one project may connect to each other. They are drawn as a box instead of with arrows; arrows show
external sources and the egresses of Apps. ``decco graph`` prints the SVG; ``decco ui`` makes elements of the
same shapes in the browser, so that names pass no parser there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

from decco.api.placement import ClusterRole
from decco.desired.placement import Placed
from decco.frozen import frozen
from decco.objects import Obj
from decco.text import clean, truncate
from decco.views.connectivity import ANYBODY, Call, ConnectivityGraph, Node, ServicePort

OPEN = "no project: open to anybody"
LIMITED = "connects only to what it declares"
PORTS_SHOWN = 6


def groups(graph: ConnectivityGraph) -> dict[str, list[Node]]:
    """Title of a box -> its nodes."""
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        title = f"project {node.project}" if node.project is not None else OPEN
        found.setdefault(title, []).append(node)
    return found


def outsiders(nodes: Iterable[Node], spaces: set[str]) -> list[str]:
    """The sources other than Spaces that these nodes allow."""
    return sorted({who for node in nodes for who in node.allowed_from if who not in spaces})


def clients(node: Node) -> str:
    return f"only clients in {', '.join(node.clients)}" if node.clients else "nobody, as it cannot keep clientCidrs"


def remarks(node: Node) -> list[str]:
    """What a box of its own cannot show: that the box is not open in all directions."""
    found = [f"the edge serves {clients(node)}"] if node.clients is not None else []
    if node.placed is not None and node.placed.role is not ClusterRole.ACTIVE:
        found.append(placed(node.placed))
    for words, role in (("no pods here", None), ("stands by here", ClusterRole.STANDBY)):
        apps = [app for app, each in node.apps_placed.items() if each.role is role]
        found += [f"{words}: {', '.join(apps)}"] if apps else []
    return [*found, LIMITED] if node.leads_to is not None else found


def placed(found: Placed) -> str:
    """What this cluster does for a Space or an App that is placed."""
    match found.role:
        case None:
            return f"no pods here, placed in {found.where}"
        case ClusterRole.STANDBY:
            return f"stands by here, placed in {found.where}"
    return f"Active here, placed in {found.where}"


# -- shapes -----------------------------------------------------------------------------------------------------------

CARD, GAP, PAD = 220, 36, 18
LINE, HEAD = 16, 46
TITLE = 50
"""Space between the top of a box and its cards, for its title and for calls between neighbours."""
COLUMNS = 4
SOURCE_WIDTH = 190
LETTER = 7.0
"""Mean width of a letter at 12 px in a sans-serif font, in px: used to truncate texts."""

_STYLE = """\
text { font: 12px "DejaVu Sans", "Helvetica", "Arial", sans-serif; fill: #1f2933 }
.title { font-weight: bold }
.dim { fill: #64748b }
.group { fill: #f8fafc; stroke: #94a3b8 }
.open { stroke-dasharray: 6 4 }
.card { fill: #ffffff; stroke: #475569 }
.source { fill: #eef2ff; stroke: #6366f1 }
path { fill: none; stroke-width: 1.5 }
.refused { stroke-dasharray: 5 4 }
"""
_COLORS = {"in": "#6366f1", "call": "#047857", "refused": "#dc2626"}
"""Colour of each kind of line."""


@frozen
class _Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@frozen
class Shape:
    """An element of the drawing. ``text`` and ``title`` (its tooltip) may be of tenants; ``kind`` is its CSS class."""

    tag: str
    kind: str
    attributes: Mapping[str, str]
    text: str = ""
    title: str = ""

    def __str__(self) -> str:
        attributes = "".join(f" {name}={quoteattr(value)}" for name, value in self.attributes.items())
        title = f"<title>{escape(self.title)}</title>" if self.title else ""
        kind = f" class={quoteattr(self.kind)}"
        if self.tag == "path":
            kind += f' style="stroke: {_COLORS[self.kind]}" marker-end="url(#tip-{self.kind})"'
        return f"<{self.tag}{kind}{attributes}>{escape(self.text)}{title}</{self.tag}>"


def drawing(graph: ConnectivityGraph) -> tuple[list[Shape], float, float]:
    """The shapes in the order in which they are drawn, and the width and height of all."""
    layout = _Layout(graph)
    layout.draw()
    return [*layout.back, *layout.lines, *layout.front], *layout.size()


def drawing_data(graph: ConnectivityGraph) -> Obj:
    """The drawing as data, for JSON."""
    shapes, width, height = drawing(graph)
    listed = [
        {
            "tag": each.tag,
            "kind": each.kind,
            "attributes": {**each.attributes},
            **({"text": each.text} if each.text else {}),
            **({"title": each.title} if each.title else {}),
        }
        for each in shapes
    ]
    return {"width": round(width), "height": round(height), "shapes": listed}


def svg(graph: ConnectivityGraph) -> str:
    """The graph as SVG without scripts and external resources; names are escaped."""
    shapes, width, height = drawing(graph)
    tips = "".join(_tip(kind, color) for kind, color in _COLORS.items())
    body = "\n".join(map(str, shapes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        "<title>Who may talk to whom</title>\n"
        f"<style>{_STYLE}</style>\n"
        f"<defs>{tips}</defs>\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _tip(kind: str, color: str) -> str:
    """The arrowhead in the colour of its line."""
    size = 'viewBox="0 0 8 8" refX="8" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse"'
    shape = f'<path d="M0 0 L8 4 L0 8 z" style="fill: {color}; stroke: none"/>'
    return f'<marker id="tip-{kind}" {size} orient="auto">{shape}</marker>'


class _Layout:
    """Sources on the left; on the right one box per project, one below the other, with rows of cards, one per Space."""

    def __init__(self, graph: ConnectivityGraph) -> None:
        self.graph = graph
        self.back: list[Shape] = []
        self.lines: list[Shape] = []
        self.front: list[Shape] = []
        """Cards are drawn over the lines, so that no line crosses a name."""
        self.cards: dict[str, _Box] = {}
        self.bottom = float(PAD)
        self.right = 0.0

    def size(self) -> tuple[float, float]:
        return self.right + PAD, self.bottom + 3 * LINE

    def draw(self) -> None:
        grouped = groups(self.graph)
        left = PAD + SOURCE_WIDTH + 2.5 * GAP
        boxes = {title: self._group(title, members, left) for title, members in grouped.items()}
        self._outside(left + PAD)
        self._sources(grouped, boxes)
        for call in self.graph.calls:
            self._call(call)
        self._legend()

    def _group(self, title: str, members: list[Node], left: float) -> _Box:
        top = self.bottom
        y = top + TITLE
        for start in range(0, len(members), COLUMNS):
            row = members[start : start + COLUMNS]
            for column, node in enumerate(row):
                self._card(node, _Box(left + PAD + column * (CARD + GAP), y, CARD, _card_height(node)))
            y += max(map(_card_height, row)) + GAP
        width = min(len(members), COLUMNS) * (CARD + GAP) - GAP + 2 * PAD
        box = _Box(left, top, width, y - GAP + PAD - top)
        kind = "group open" if members[0].project is None else "group"
        self._shape(box, kind, 10, (PAD, LINE + 2, title, "title"))
        self.bottom = y + PAD
        self.right = max(self.right, box.right)
        return box

    def _card(self, node: Node, box: _Box) -> None:
        self.cards[node.name] = box
        ports = [f"{port.endpoint}:{port.port}{_path_of(port, node.fqdn)}" for port in node.ports[:PORTS_SHOWN]]
        texts = [(10, HEAD - 2 + LINE * number, port, "") for number, port in enumerate(ports, 1)]
        if len(node.ports) > PORTS_SHOWN:
            more = f"and {len(node.ports) - PORTS_SHOWN} more"
            texts.append((10, HEAD - 2 + LINE * (PORTS_SHOWN + 1), more, "dim"))
        below = HEAD - 2 + LINE * (_port_lines(node) + 1)
        texts += [(10, below + LINE * number, remark, "dim") for number, remark in enumerate(remarks(node))]
        self._shape(box, "card", 6, (10, LINE + 2, node.name, "title"), (10, 2 * LINE + 2, node.fqdn, "dim"), *texts)

    def _outside(self, left: float) -> None:
        names = sorted({call.target for call in self.graph.calls if call.space is None})
        for number, name in enumerate(names):
            row, column = divmod(number, COLUMNS)
            box = _Box(left + column * (CARD + GAP), self.bottom + row * (2 * LINE + PAD), CARD, 2 * LINE)
            self.cards[f"outside {name}"] = box
            self._shape(box, "source", 16, (12, LINE + 4, name, ""))
            self.right = max(self.right, box.right)
        if names:
            self.bottom += ((len(names) - 1) // COLUMNS + 1) * (2 * LINE + PAD) + GAP / 2

    def _sources(self, grouped: dict[str, list[Node]], boxes: dict[str, _Box]) -> None:
        spaces = {node.name for node in self.graph.nodes}
        lets_in = {title: outsiders(members, spaces) for title, members in grouped.items()}
        names = sorted({who for whos in lets_in.values() for who in whos}, key=lambda who: (who != ANYBODY, who))
        height = 2.5 * LINE
        sources = {
            name: _Box(PAD, PAD + number * (height + GAP), SOURCE_WIDTH, height) for number, name in enumerate(names)
        }
        for name, box in sources.items():
            self._shape(box, "source", 20, (14, height / 2 + 4, name, ""))
        self.bottom = max(self.bottom, PAD + len(names) * (height + GAP))
        for title, whos in lets_in.items():
            target = boxes[title]
            for number, who in enumerate(whos, 1):
                source = sources[who]
                end = target.y + target.height * number / (len(whos) + 1)
                bend = (target.x + source.right) / 2
                path = f"M{source.right:.0f} {source.middle:.0f} C{bend:.0f} {source.middle:.0f} {bend:.0f} {end:.0f} "
                self._path(f"{path}{target.x:.0f} {end:.0f}", "in", f"{who} to {title}")

    def _call(self, call: Call) -> None:
        source = self.cards.get(call.caller.namespace)
        target = self.cards.get(call.space if call.space is not None else f"outside {call.target}")
        if source is None or target is None or source is target:
            return
        title = f"{call.caller} calls {call.target}" + (f" of {call.space}" if call.space else "")
        if call.allowed is False:
            title += f", refused: {call.why}"
        self._path(_curve(source, target), "refused" if call.allowed is False else "call", title)

    def _legend(self) -> None:
        y = self.bottom + LINE
        x = float(PAD)
        for kind, words in (("in", "may connect"), ("call", "calls"), ("refused", "calls in vain")):
            self._path(f"M{x:.0f} {y:.0f} h36", kind, words)
            self._text(x + 44, y + 4, words, "dim", 200)
            x += 60 + len(words) * LETTER + GAP / 2
        words = "pods in one Space, and Spaces in one box of a project, may connect to each other"
        if any(node.leads_to is not None for node in self.graph.nodes):
            words += f", but a Space that {LIMITED} only where an arrow leads"
        self._text(x, y + 4, words, "dim", 2000)
        self.right = max(self.right, x + len(words) * LETTER)

    def _shape(self, box: _Box, kind: str, radius: int, *texts: tuple[float, float, str, str]) -> None:
        """A rectangle with its texts: offsets from its corner, words, class."""
        size = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": radius}
        layer = self.back if kind.startswith("group") else self.front
        layer.append(Shape("rect", kind, {name: f"{value:.0f}" for name, value in size.items()}))
        for right, down, words, style in texts:
            self._text(box.x + right, box.y + down, words, style, box.width - 2 * right)

    def _text(self, x: float, y: float, words: str, kind: str, width: float) -> None:
        words = clean(words)
        cut = truncate(words, max(4, int(width / LETTER)))
        where = {"x": f"{x:.0f}", "y": f"{y:.0f}"}
        self.front.append(Shape("text", kind, where, cut, words if cut != words else ""))

    def _path(self, path: str, kind: str, title: str) -> None:
        self.lines.append(Shape("path", kind, {"d": path}, title=clean(title)))


def _path_of(port: ServicePort, fqdn: str) -> str:
    """The part of the URL that the name of the endpoint and the FQDN do not show."""
    if port.url is None:
        return " inside only"
    url = port.url.removeprefix(f"https://{fqdn}")
    return "" if url == f"tls://{port.endpoint}.{fqdn}:443" else f" {url.removeprefix('tls://')}"


def _card_height(node: Node) -> int:
    return HEAD + (_port_lines(node) + len(remarks(node))) * LINE + 8


def _port_lines(node: Node) -> int:
    return min(len(node.ports), PORTS_SHOWN) + (len(node.ports) > PORTS_SHOWN)


def _curve(source: _Box, target: _Box) -> str:
    """A curve between the facing sides of two cards."""
    if abs(source.y - target.y) < LINE:  # in one row: over the top
        start, end = source.x + source.width / 2, target.x + target.width / 2
        up = min(source.y, target.y) - TITLE * 0.5
        return f"M{start:.0f} {source.y:.0f} C{start:.0f} {up:.0f} {end:.0f} {up:.0f} {end:.0f} {target.y:.0f}"
    below = target.y > source.y
    start_y = source.y + source.height if below else source.y
    end_y = target.y if below else target.y + target.height
    start_x = source.x + source.width * (0.6 if below else 0.4)
    end_x = target.x + target.width * (0.6 if below else 0.4)
    bend = (start_y + end_y) / 2
    return f"M{start_x:.0f} {start_y:.0f} C{start_x:.0f} {bend:.0f} {end_x:.0f} {bend:.0f} {end_x:.0f} {end_y:.0f}"
