"""The picture that decco is explained with, by the evaluator; ``test_enforced.py`` tests it with real connections."""

from __future__ import annotations

import pytest

from testbed.evaluator import Question, open_ports
from tests.policies import picture
from tests.policies.world import World


def test_who_reaches_whom(talk: World) -> None:
    questions = []
    for asked in picture.CONNECTIONS:
        port = talk.port(asked.to, asked.port)
        assert port is not None, asked
        questions.append(Question(asked.source, asked.to, "TCP", [(port, port)]))
    answers = open_ports(talk.policies, talk.peers, questions)
    wrong = [
        picture.describe(asked, talk.port, bool(found))
        for asked, found in zip(picture.CONNECTIONS, answers, strict=True)
        if bool(found) != asked.allowed
    ]
    assert not wrong, f"{len(wrong)} of {len(picture.CONNECTIONS)} connections differ:\n" + "\n".join(wrong)


def test_every_row_and_column_is_asked() -> None:
    apps = {f"{space}/{name}" for space, apps in picture.APPS.items() for name in apps}
    assert {asked.to for asked in picture.CONNECTIONS} == apps
    rows = [line.split()[0] for line in picture.CONNECTIVITY.strip().splitlines()[1:]]
    assert {asked.source for asked in picture.CONNECTIONS} == {picture.CLIENTS.get(row, row) for row in rows}
    assert {asked.allowed for asked in picture.CONNECTIONS} == {True, False}


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="'maybe' in the row of world"):
        picture.connections(picture.CONNECTIVITY.replace("world               yes", "world               maybe"))
