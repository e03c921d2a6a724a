"""Pictures that cannot be broken by names, and that can be read with many Spaces in them."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any
from xml.etree import ElementTree as ET

from decco.cli.drawing import mermaid, svg, text
from decco.cli.output import Style
from decco.objects import Key
from decco.views.connectivity import Call, ConnectivityGraph, Node, ServicePort, connectivity
from decco.views.drawing import _Layout
from tests.unit.views.stories import app, simulated, space

EVIL = '</text><script>alert(\'x\')</script>"]; click x "javascript:1"\n\x1b[2J'
PLAIN = Style(enabled=False)


def evil() -> ConnectivityGraph:
    port = ServicePort(EVIL, EVIL, 443, 20000, f"tls://{EVIL}")
    node = Node(EVIL, EVIL, EVIL, [port], {"anybody": [port], EVIL + "2": [port]})
    return ConnectivityGraph(
        [node], [Call(Key(EVIL, EVIL), None, EVIL, None), Call(Key(EVIL, EVIL), EVIL, "x", allowed=False, why=EVIL)]
    )


def many(count: int) -> ConnectivityGraph:
    objects: list[Any] = []
    for number in range(count):
        project = {"project": f"p{number % 4}"} if number % 5 else {}
        objects.append(space(f"s{number}", tcpCertAndCaSecretName="t", **project))
        egress = [{"localPort": 9000, "endpoint": "db", "spaceName": f"s{(number * 7 + 3) % count}"}]
        objects.append(
            app("db", f"s{number}", *({"name": n} for n in ["db", "x", "y"][: number % 3 + 1]), tlsEgresses=egress)
        )
    snapshot, result = simulated(*objects, edge={"namespace": "edge"})
    return connectivity(snapshot, result)


def test_an_svg_is_xml_whose_texts_are_texts() -> None:
    root = ET.fromstring(svg(evil()))
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "title", "style", "defs", "marker", "path", "rect", "text"}
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name]
    assert any("<script>" in (element.text or "") for element in root.iter())
    assert "\x1b" not in svg(evil())


def test_mermaid_names_stand_in_quotes_only() -> None:
    lines = mermaid(evil()).splitlines()
    assert lines[0] == "flowchart LR"
    for line in lines[1:]:
        outside = re.sub(r'"[^"]*"', '""', line)
        assert re.fullmatch(
            r'\s+(subgraph g\d+\[""\]|s\d+\[""\]|end|o\d+ --> g\d+|s\d+ (==>|-\.->)\|""\| [sx]\d+|[ox]\d+\(\[""\]\))',
            outside,
        ), line
        assert "<script" not in line


def test_text_cannot_move_the_cursor() -> None:
    for style in (PLAIN, Style(enabled=True)):
        assert "\x1b[2J" not in text(evil(), style)


def test_text_says_who_is_refused() -> None:
    snapshot, result = simulated(
        space("a", tcpCertAndCaSecretName="t"),
        space("b", project="p", tcpCertAndCaSecretName="t"),
        app("x", "a", tlsEgresses=[{"localPort": 9000, "endpoint": "db", "spaceName": "b"}]),
        app("db", "b", {"name": "db"}),
        edge={"namespace": "edge"},
    )
    assert text(connectivity(snapshot, result), PLAIN) == (
        "Project p\n"
        "  b  b.example.net\n"
        "    db:443  from edge in namespace edge\n"
        "\n"
        "No project: open to anybody\n"
        "  a  a.example.net\n"
        "    nothing of it can be reached from outside\n"
        "    x calls db of b  refused: the Space lets only its project in\n"
    )
    assert text(ConnectivityGraph([], []), PLAIN) == "there is no Space\n"


def test_what_a_box_of_a_project_does_not_show() -> None:
    """A Space in it may be limited: by what its pods may connect to, and by the clients that the edge serves."""
    limits = {"clientCidrs": ["192.0.2.0/24"]}
    objects = [space("a", project="p", egressPolicy="Declared", limits=limits), space("b", project="p")]
    graph = connectivity(*simulated(*objects))
    assert "the edge serves only clients in 192.0.2.0/24" in text(graph, PLAIN)
    assert "its pods connect only to" in text(graph, PLAIN)
    for drawn in (mermaid(graph), svg(graph)):
        assert drawn.count("only clients in 192.0.2.0/24") >= 1
        assert "connects only to what it declares" in drawn
    words = "where an arrow leads"
    assert words in svg(graph)
    assert words not in svg(connectivity(*simulated(*objects[1:])))


def test_where_a_space_runs() -> None:
    """Where it is Active nothing is to be said in its box."""
    east, here = {"id": "east"}, {"id": "here"}
    objects = [
        space("away", placement={"clusters": [east]}),
        space("waits", placement={"clusters": [east, {**here, "role": "Standby"}]}),
        space("active", placement={"clusters": [here]}),
        *(app(name, "active", placement={"clusters": [east]}) for name in ("x", "y")),
    ]
    graph = connectivity(*simulated(*objects, cluster_id="here"))
    shown = text(graph, PLAIN)
    assert "no pods here, placed in east\n" in shown
    assert "stands by here, placed in east, here (Standby)\n" in shown
    assert "Active here, placed in here\n" in shown
    assert "    x: no pods here, placed in no cluster of its Space\n" in shown
    for drawn in (mermaid(graph), svg(graph)):
        for remark in ("no pods here, placed in east", "stands by here, placed in", "no pods here: x, y"):
            assert remark in (drawn.replace("#58;", ":"))
        assert "Active here" not in drawn


def test_twenty_spaces_do_not_overlap() -> None:
    layout = _Layout(many(20))
    layout.draw()
    assert len(layout.cards) == 20
    boxes = [*layout.cards.values()]
    for one, other in combinations(boxes, 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    width, height = layout.size()
    assert all(box.x >= 0 and box.x + box.width <= width and box.y + box.height <= height for box in boxes)
    assert width < 1500
