"""Which link is named for what was observed, and the routes that answer themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from decco.desired.answers import Answer, Answers, answer_problems, probe_answer, probe_host, probe_rule
from decco.metrics import PROBE_RESULTS
from decco.probe.model import Result

TCP = Answer("db", "db.acme.example", "192.0.2.1", "closed", "the connection is closed", tcp=True)
HTTP = replace(TCP, endpoint="web", server_name="acme.example", tcp=False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (replace(TCP, result="connect"), "AddressUnreachable"),
        (TCP, "ListenerNotAnswering"),
        (replace(TCP, result="alert"), "RefusedByProxy"),
        (replace(TCP, result="certificate"), "WrongCertificate"),
        (replace(TCP, result="chain"), "IncompleteChain"),
        (replace(TCP, result="not_requested"), "ClientCertificateNotRequested"),
        (replace(HTTP, result="route"), "RouteNotAnswering"),
        (replace(TCP, result="silent"), "BackendBlocked"),
        (replace(TCP, service=False), "ServiceMissing"),
        (replace(TCP, service=False, ready_pods=False), "ServiceMissing"),
        (replace(TCP, ready_pods=False), "NoReadyPod"),
        (replace(HTTP, ready_pods=False), "ListenerNotAnswering"),  # the proxy ends TLS, whatever the pods do
        (replace(HTTP, result="silent", ready_pods=False), "NoReadyPod"),
        (replace(TCP, result="certificate", ready_pods=False), "WrongCertificate"),
        (replace(TCP, result="port_closed"), "PortClosed"),
        (replace(HTTP, result="application"), "ApplicationError"),
    ],
)
def test_the_link_is_named(answer: Answer, reason: str) -> None:
    (problem,) = answer_problems(Answers((answer,)))
    assert problem.reason == reason
    assert all(part in problem.message for part in (answer.endpoint, answer.server_name, answer.address))
    assert answer.detail in problem.message


def test_an_edge_that_passes_tls_on_may_have_no_connection_itself() -> None:
    """Then it ends those of its clients; where it ends TLS itself, this is no explanation."""
    blocked = replace(TCP, endpoint="other", result="silent")
    first, second = answer_problems(Answers((TCP, blocked)))
    assert (first.reason, second.reason) == ("BackendBlocked", "ListenerNotAnswering")
    assert "no connection to the pods" in second.message
    (alone,) = answer_problems(Answers((HTTP,)))
    assert "no connection to the pods" not in alone.message


@pytest.mark.parametrize("result", [each for each in Result if each not in (Result.ANSWERED, Result.RECORD)])
def test_each_result_is_a_link(result: Result) -> None:
    assert list(answer_problems(Answers((replace(TCP, result=result.value),))))


def test_what_has_not_answered_is_waited_for() -> None:
    (problem,) = answer_problems(Answers(waiting=("b.example", "b.example")))
    assert (problem.reason, problem.message) == ("WaitingForAnswer", "the edge has not answered for b.example yet")


def test_the_metric_has_all_results() -> None:
    assert set(PROBE_RESULTS) == {each.value for each in Result}


def test_another_rule_has_another_answer() -> None:
    one, two = probe_host([{"a": 1}]), probe_host([{"a": 2}])
    assert one != two
    assert max(map(len, one.split("."))) <= 63
    rule = probe_rule({"type": "Exact", "value": "/x"}, one)
    assert probe_answer({"spec": {"rules": [{"backendRefs": []}, rule]}}) == ("/x", one)
    assert probe_answer({"spec": {"rules": [{"backendRefs": []}]}}) is None
