"""Metrics: all there from the start, well-formed for both exposition formats, and counting what they say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import openmetrics
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from decco import __version__
from decco.expiries import Expiries
from decco.kube import controller, informer, workqueue
from decco.metrics import CONTROLLERS, EXPIRIES_OF_A_SPACE, READY, RESULTS, Metrics

CONTRACT = {
    "decco_probe_total": ("counter", {"result"}),
    "decco_probe_first_answer_seconds": ("histogram", set()),
    "decco_endpoints": ("gauge", {"space", "answers"}),
    "decco_reconcile_total": ("counter", {"controller", "result"}),
    "decco_reconcile_errors_total": ("counter", {"controller"}),
    "decco_reconcile_time_seconds": ("histogram", {"controller"}),
    "decco_active_workers": ("gauge", {"controller"}),
    "decco_workqueue_depth": ("gauge", {"name"}),
    "decco_workqueue_adds_total": ("counter", {"name"}),
    "decco_workqueue_queue_duration_seconds": ("histogram", {"name"}),
    "decco_workqueue_work_duration_seconds": ("histogram", {"name"}),
    "decco_workqueue_retries_total": ("counter", {"name"}),
    "decco_workqueue_unfinished_work_seconds": ("gauge", {"name"}),
    "decco_workqueue_longest_running_processor_seconds": ("gauge", {"name"}),
    "decco_workqueue_oldest_key_seconds": ("gauge", {"name"}),
    "decco_api_requests_total": ("counter", {"verb", "resource", "code"}),
    "decco_api_request_duration_seconds": ("histogram", {"verb"}),
    "decco_watch_last_event_timestamp_seconds": ("gauge", {"resource"}),
    "decco_watch_restarts_total": ("counter", {"resource", "cause"}),
    "decco_cache_objects": ("gauge", {"resource"}),
    "decco_objects": ("gauge", {"kind", "ready"}),
    "decco_dns_calls_total": ("counter", {"provider", "operation", "result"}),
    "decco_dns_call_duration_seconds": ("histogram", {"provider"}),
    "decco_dns_lag_seconds": ("gauge", {"provider", "zone"}),
    "decco_child_repairs_total": ("counter", {"resource"}),
    "decco_certificate_expiry_timestamp_seconds": ("gauge", {"space", "secret"}),
    "decco_crl_expiry_timestamp_seconds": ("gauge", {"space", "secret"}),
    "decco_leader": ("gauge", set()),
    "decco_event_loop_lag_seconds": ("histogram", set()),
    "decco_event_loop_tasks": ("gauge", set()),
    "decco_events_dropped_total": ("counter", set()),
    "decco_build_info": ("gauge", {"version", "python"}),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    metrics.refresh()
    return metrics.registry.get_sample_value(f"decco_{name}", labels)


def exercise(metrics: Metrics) -> None:
    """Touches every metric once, so that each has a series."""
    metrics.add_resource("apps.decco.platform9.com")
    metrics.add_dns_provider("rfc2136")
    metrics.follow_objects("App", lambda: {"True": 2})
    metrics.queue_added("app", 1)
    metrics.queue_taken("app", 0, 0.01)
    metrics.reconciled("app", "error", 0.2)
    metrics.queue_done("app", 0.2)
    metrics.queue_retried("app")
    metrics.api_request("POST", "deployments.apps", "201", 0.003)
    metrics.watch_event("apps.decco.platform9.com")
    metrics.watch_trouble("apps.decco.platform9.com", "Gone")
    metrics.cache_objects("apps.decco.platform9.com", 3)
    metrics.dns_call("rfc2136", "apply", "Refused", 0.2)
    metrics.follow_dns(lambda: {("rfc2136", "example.com"): 1.5})
    metrics.child_repaired("services")
    metrics.expiries("acme", Expiries({'odd"\nname\\': 1.8e9}, {"tcp": 1.8e9}))
    metrics.leader(True)
    metrics.loop_lag(0.001)
    metrics.event_dropped(2)
    metrics.probed("answered")
    metrics.first_answer(0.3)
    metrics.follow_answers(lambda: {"acme": (3, 1)})


def test_every_metric_of_the_contract_exists_from_the_start(metrics: Metrics) -> None:
    text = generate_latest(metrics.registry).decode()
    found = dict(re.findall(r"^# TYPE (decco_\S+) (\S+)$", text, flags=re.MULTILINE))
    assert found == {name: kind for name, (kind, _) in CONTRACT.items()}
    helped = dict(re.findall(r"^# HELP (decco_\S+) (.+)$", text, flags=re.MULTILINE))
    assert helped.keys() == CONTRACT.keys()


def test_known_label_sets_start_at_zero(metrics: Metrics) -> None:
    for name in CONTROLLERS:
        for result in RESULTS:
            assert value(metrics, "reconcile_total", controller=name, result=result) == 0
        for metric, (kind, labels) in CONTRACT.items():
            label = {"controller": name} if "controller" in labels else {"name": name}
            if len(labels) == 1 and labels <= label.keys():
                suffix = "_count" if kind == "histogram" else ""
                assert metrics.registry.get_sample_value(metric + suffix, label) == 0, metric
    for metric in ("leader", "events_dropped_total", "event_loop_lag_seconds_count"):
        assert value(metrics, metric) == 0
    metrics.add_resource("apps")
    assert value(metrics, "cache_objects", resource="apps") == 0
    assert value(metrics, "watch_last_event_timestamp_seconds", resource="apps") == 0
    metrics.add_dns_provider("route53")
    assert value(metrics, "dns_calls_total", provider="route53", operation="apply", result="ok") == 0
    metrics.add_child("services")
    assert value(metrics, "child_repairs_total", resource="services") == 0
    metrics.follow_dns(lambda: {("route53", "example.com"): 0.0})
    assert value(metrics, "dns_lag_seconds", provider="route53", zone="example.com") == 0
    metrics.follow_objects("Space", dict)
    for ready in READY:
        assert value(metrics, "objects", kind="Space", ready=ready) == 0


@pytest.mark.parametrize(
    ("render", "parse"),
    [(generate_latest, parse_text), (generate_openmetrics, parse_openmetrics)],
    ids=["text", "openmetrics"],
)
def test_both_formats_parse_and_carry_the_labels_of_the_contract(
    render: Callable[..., bytes], parse: Callable[[str], Iterator[openmetrics.parser.Metric]], metrics: Metrics
) -> None:
    exercise(metrics)
    metrics.refresh()
    seen: dict[str, set[str]] = {}
    for family in parse(render(metrics.registry).decode()):
        for sample in family.samples:
            assert not sample.name.endswith("_created")
            if sample.name.startswith("decco_"):
                labels = set(sample.labels) - {"le"}
                seen.setdefault(re.sub(r"_(bucket|count|sum)$", "", sample.name), set()).update(labels)
    assert seen == {name: labels for name, (_, labels) in CONTRACT.items()}


def test_names_are_those_that_openmetrics_asks_for() -> None:
    for name, (kind, _) in CONTRACT.items():
        assert name.endswith("_total") == (kind == "counter"), name
        if kind == "histogram":
            assert name.endswith("_seconds"), name
        assert not re.search(r"_(milliseconds|ms|minutes|bucket|count|sum)$", name), name


@pytest.mark.parametrize(
    ("result", "errors"), [("success", 0), ("requeue", 0), ("conflict", 0), ("error", 1), ("terminal", 1)]
)
def test_a_reconcile_is_counted_once_under_its_result(result: str, errors: int, metrics: Metrics) -> None:
    metrics.reconciled("app", result, 0.25)
    for each in RESULTS:
        assert value(metrics, "reconcile_total", controller="app", result=each) == (each == result)
    assert value(metrics, "reconcile_errors_total", controller="app") == errors
    assert value(metrics, "reconcile_time_seconds_sum", controller="app") == 0.25
    assert value(metrics, "reconcile_time_seconds_count", controller="space") == 0


def test_the_life_of_a_key_in_the_queue(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    metrics.queue_added("app", 1)
    metrics.queue_added("app", 2)
    assert value(metrics, "workqueue_adds_total", name="app") == 2
    assert value(metrics, "workqueue_depth", name="app") == 2
    metrics.queue_taken("app", 1, waited=3.0)
    now = 1001.0
    metrics.queue_taken("app", 0, waited=4.0)
    now = 1005.0
    assert value(metrics, "workqueue_depth", name="app") == 0
    assert value(metrics, "active_workers", controller="app") == 2
    assert value(metrics, "workqueue_unfinished_work_seconds", name="app") == 9.0
    assert value(metrics, "workqueue_queue_duration_seconds_sum", name="app") == 7.0
    metrics.queue_done("app", worked=5.0)
    metrics.queue_retried("app")
    now = 1006.0
    assert value(metrics, "active_workers", controller="app") == 1
    assert value(metrics, "workqueue_unfinished_work_seconds", name="app") == 5.0
    assert value(metrics, "workqueue_work_duration_seconds_sum", name="app") == 5.0
    assert value(metrics, "workqueue_retries_total", name="app") == 1
    metrics.queue_done("app", worked=5.0)
    assert value(metrics, "workqueue_unfinished_work_seconds", name="app") == 0.0
    assert value(metrics, "active_workers", controller="space") == 0


def test_a_followed_queue_is_asked_at_each_scrape(metrics: Metrics) -> None:
    class Queue:
        age = 1.0

        def oldest(self) -> float:
            return self.age

        def longest_running(self) -> float:
            return 10 * self.age

    queue = Queue()
    metrics.follow_queue("app", queue)
    for age in (1.0, 2.0):
        queue.age = age
        assert value(metrics, "workqueue_oldest_key_seconds", name="app") == age
        assert value(metrics, "workqueue_longest_running_processor_seconds", name="app") == 10 * age


def test_a_controller_that_was_not_announced_is_counted_all_the_same(metrics: Metrics) -> None:
    metrics.queue_added("zone", 1)
    assert value(metrics, "workqueue_adds_total", name="zone") == 1
    assert value(metrics, "reconcile_total", controller="zone", result="success") == 0


def test_requests_are_counted_by_verb_resource_and_code(metrics: Metrics) -> None:
    for code in ("201", "201", "<error>"):
        metrics.api_request("POST", "deployments.apps", code, 0.5)
    labels = {"verb": "POST", "resource": "deployments.apps"}
    assert value(metrics, "api_requests_total", code="201", **labels) == 2
    assert value(metrics, "api_requests_total", code="<error>", **labels) == 1
    assert value(metrics, "api_request_duration_seconds_sum", verb="POST") == 1.5


def test_watches_and_caches(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.75e9)
    metrics.watch_event("secrets")
    metrics.watch_trouble("secrets", "Gone")
    metrics.cache_objects("secrets", 7)
    assert value(metrics, "watch_last_event_timestamp_seconds", resource="secrets") == 1.75e9
    assert value(metrics, "watch_restarts_total", resource="secrets", cause="Gone") == 1
    assert value(metrics, "cache_objects", resource="secrets") == 7


def test_ready_counts_are_asked_at_each_scrape(metrics: Metrics) -> None:
    counts = {"True": 3, "False": 1}
    metrics.follow_objects("App", lambda: counts)
    assert value(metrics, "objects", kind="App", ready="True") == 3
    counts = {"Unknown": 1}
    assert [value(metrics, "objects", kind="App", ready=ready) for ready in READY] == [0, 0, 1]


def test_a_certificate_no_longer_used_leaves_no_series(metrics: Metrics) -> None:
    metrics.expiries("acme", Expiries({"web": 1.8e9, "tcp": 1.9e9}))
    metrics.expiries("other", Expiries({"web": 1.7e9}))
    metrics.expiries("acme", Expiries({"web": 2.0e9}))
    assert value(metrics, "certificate_expiry_timestamp_seconds", space="acme", secret="web") == 2.0e9
    assert value(metrics, "certificate_expiry_timestamp_seconds", space="acme", secret="tcp") is None
    metrics.expiries("acme", Expiries({}))
    assert value(metrics, "certificate_expiry_timestamp_seconds", space="acme", secret="web") is None
    assert value(metrics, "certificate_expiry_timestamp_seconds", space="other", secret="web") == 1.7e9


def test_lists_of_revoked_certificates_have_series_of_their_own(metrics: Metrics) -> None:
    metrics.expiries("acme", Expiries({"tcp": 1.9e9}, {"tcp": 1.8e9}))
    assert value(metrics, "crl_expiry_timestamp_seconds", space="acme", secret="tcp") == 1.8e9
    assert value(metrics, "certificate_expiry_timestamp_seconds", space="acme", secret="tcp") == 1.9e9
    metrics.expiries("acme", Expiries({"tcp": 1.9e9}))
    assert value(metrics, "crl_expiry_timestamp_seconds", space="acme", secret="tcp") is None
    metrics.expiries("acme", Expiries(lists={"tcp": 1.8e9}))
    metrics.leader(False)
    assert value(metrics, "crl_expiry_timestamp_seconds", space="acme", secret="tcp") is None


def test_a_space_has_a_bounded_number_of_series(metrics: Metrics) -> None:
    metrics.expiries("acme", Expiries({f"s{number}": 1.8e9 + number for number in range(500)}))
    series = [s for f in metrics.registry.collect() for s in f.samples if s.labels.get("space") == "acme"]
    assert len(series) == EXPIRIES_OF_A_SPACE
    assert max(s.value for s in series) < 1.8e9 + EXPIRIES_OF_A_SPACE, "those that expire first"


def test_dns_leader_lag_events_and_build(metrics: Metrics) -> None:
    metrics.dns_call("rfc2136", "apply", "ok", 0.25)
    metrics.leader(True)
    metrics.loop_lag(0.5)
    metrics.event_dropped()
    assert value(metrics, "dns_calls_total", provider="rfc2136", operation="apply", result="ok") == 1
    assert value(metrics, "dns_call_duration_seconds_sum", provider="rfc2136") == 0.25
    assert value(metrics, "leader") == 1
    metrics.leader(False)
    assert value(metrics, "leader") == 0
    assert value(metrics, "event_loop_lag_seconds_sum") == 0.5
    assert value(metrics, "events_dropped_total") == 1
    (family,) = [family for family in metrics.registry.collect() if family.name == "decco_build_info"]
    assert [(sample.labels["version"], sample.value) for sample in family.samples] == [(__version__, 1.0)]


def test_the_process_itself_is_measured(metrics: Metrics) -> None:
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"):
        assert (metrics.registry.get_sample_value(name) or 0) > 0


def test_two_controllers_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.reconciled("app", "success", 0.1)
    assert value(second, "reconcile_total", controller="app", result="success") == 0


async def test_the_real_queue_and_its_protocols_fit(metrics: Metrics) -> None:
    # mypy says that Metrics fits them; this says that the real queue calls what it promises.
    observers: tuple[workqueue.Observer, controller.Observer, informer.Observer] = (metrics, metrics, metrics)
    queue: workqueue.WorkQueue[str] = workqueue.WorkQueue("app", group=str, observer=observers[0])
    metrics.follow_queue("app", queue)
    queue.add("a")
    assert value(metrics, "workqueue_depth", name="app") == 1
    key = await queue.get()
    assert value(metrics, "active_workers", controller="app") == 1
    queue.done(key)
    assert value(metrics, "active_workers", controller="app") == 0
    assert value(metrics, "workqueue_queue_duration_seconds_count", name="app") == 1


def test_the_metrics_of_a_reconcile_cost_less_than_the_reconcile_notices(metrics: Metrics) -> None:
    """20 µs at most for what one reconcile with one request reports; the best of many runs, so that noise is out."""

    def one() -> None:
        metrics.queue_added("app", 1)
        metrics.queue_taken("app", 0, 0.01)
        metrics.api_request("PUT", "apps", "200", 0.01)
        metrics.reconciled("app", "success", 0.02)
        metrics.queue_done("app", 0.02)

    best = min(_seconds_for(one, 200) for _ in range(20)) / 200
    assert best < 20e-6


def _seconds_for(call: Callable[[], None], times: int) -> float:
    """Of this thread's CPU: what other load takes does not count."""
    started = time.thread_time()
    for _ in range(times):
        call()
    return time.thread_time() - started


def test_the_series_of_answers_are_bounded(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decco.metrics.MAX_SPACES", 2)
    metrics.follow_answers(lambda: {"a": (1, 0), "b": (2, 0), "c": (3, 1), "d": (4, 0)})
    metrics.refresh()
    assert value(metrics, "endpoints", space="c", answers="false") == 1  # failures first
    assert value(metrics, "endpoints", space="a", answers="true") == 1
    assert value(metrics, "endpoints", space="", answers="true") == 6
    metrics.follow_answers(dict)
    metrics.refresh()
    assert metrics.registry.get_sample_value("decco_endpoints", {"space": "a", "answers": "true"}) is None
