"""The controller's metrics: names and labels as in controller-runtime, with the prefix ``decco_``.

Every metric exists from the start, with its label sets at 0 where they are known: an alert on a series that appears
with the first failure would miss that failure. Lower layers call the small methods of ``Metrics`` through their own
protocols and callables and do not depend on Prometheus. Those methods are cheap (about 4 µs a reconcile, 1.5 µs a
request): label children are kept, and what only a scrape reads becomes a gauge in ``refresh``.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector

from decco import __version__
from decco.expiries import Expiries

CONTROLLERS = ("space", "app")
RESULTS = ("success", "requeue", "conflict", "error", "terminal")
"""How a reconcile can end; error and terminal are failures, a conflict is not."""
READY = ("True", "False", "Unknown")
DNS_OPERATIONS = ("zones", "records", "apply")
PROBE_RESULTS = (
    "answered",
    "connect",
    "closed",
    "alert",
    "silent",
    "certificate",
    "chain",
    "not_requested",
    "port_closed",
    "route",
    "application",
    "record",
)
"""How a probe can end: the values of ``probe.model.Result``."""
MAX_SPACES = 1_000
"""Spaces with series of their own in decco_endpoints."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of all histograms: from a reconcile that finds nothing to do to a request at its time limit."""

EXPIRIES_OF_A_SPACE = 20
"""Series of one Space in each gauge, at most."""


class Queue(Protocol):
    """What a scrape reads of a work queue; both in seconds, 0 if the queue is idle."""

    def oldest(self) -> float: ...
    def longest_running(self) -> float: ...


COUNTERS: Mapping[str, tuple[str, ...]] = {
    "reconcile": ("Reconciles, by how they ended.", "controller", "result"),
    "reconcile_errors": ("Reconciles that ended in error or terminal.", "controller"),
    "workqueue_adds": ("Keys that were queued.", "name"),
    "workqueue_retries": ("Keys that were queued again after a failure.", "name"),
    "api_requests": ("Requests to the API server; code <error> had no answer.", "verb", "resource", "code"),
    "watch_restarts": ("Watches that were opened again.", "resource", "cause"),
    "dns_calls": ("Calls to DNS providers.", "provider", "operation", "result"),
    "child_repairs": ("Children that somebody else had changed or deleted and decco wrote again.", "resource"),
    "probe": ("Probes of the edge, by how they ended.", "result"),
    "events_dropped": ("Kubernetes Events that were not sent.",),
}
"""Name without ``decco_`` and ``_total`` -> help, labels."""
GAUGES: Mapping[str, tuple[str, ...]] = {
    "active_workers": ("Workers that are reconciling now.", "controller"),
    "workqueue_depth": ("Keys that wait in the queue.", "name"),
    "workqueue_unfinished_work_seconds": ("Age of all running work, summed.", "name"),
    "workqueue_longest_running_processor_seconds": ("Age of the work that has been running longest.", "name"),
    "workqueue_oldest_key_seconds": ("Age of the key that has waited longest.", "name"),
    "watch_last_event_timestamp_seconds": ("When the watch last received anything; 0 if never.", "resource"),
    "cache_objects": ("Objects in the cache.", "resource"),
    "objects": ("Spaces and Apps by their Ready condition.", "kind", "ready"),
    "dns_lag_seconds": ("Age of the oldest change that a zone has not taken yet.", "provider", "zone"),
    "certificate_expiry_timestamp_seconds": ("When a certificate in use expires.", "space", "secret"),
    "crl_expiry_timestamp_seconds": ("When a list of revoked certificates in use expires.", "space", "secret"),
    "endpoints": ("Probed endpoints of a Space, by whether they answer.", "space", "answers"),
    "leader": ("1 while this process leads.",),
    "event_loop_tasks": ("Tasks of the event loop that have not ended.",),
    "build_info": ("Always 1; the labels say what runs.", "version", "python"),
}
"""Name without ``decco_`` -> help, labels."""
HISTOGRAMS: Mapping[str, tuple[str, ...]] = {
    "reconcile_time": ("Duration of a reconcile.", "controller"),
    "workqueue_queue_duration": ("Time that a key waited in the queue.", "name"),
    "workqueue_work_duration": ("Time that work on a key took.", "name"),
    "api_request_duration": ("Duration of a request to the API server.", "verb"),
    "dns_call_duration": ("Duration of a call to a DNS provider.", "provider"),
    "probe_first_answer": ("Time from a change to the first answer through the edge.",),
    "event_loop_lag": ("How late the event loop runs what is due.",),
}
"""Name without ``decco_`` and ``_seconds`` -> help, labels."""


class _Loop:
    """One controller and its queue, which share a name: their label children, and counts between scrapes."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self.results = {result: metrics.counters["reconcile"].labels(name, result) for result in RESULTS}
        self.errors = metrics.counters["reconcile_errors"].labels(name)
        self.time = metrics.histograms["reconcile_time"].labels(name)
        self.adds = metrics.counters["workqueue_adds"].labels(name)
        self.retries = metrics.counters["workqueue_retries"].labels(name)
        self.waited = metrics.histograms["workqueue_queue_duration"].labels(name)
        self.worked = metrics.histograms["workqueue_work_duration"].labels(name)
        self.queue: Queue | None = None
        self.depth = 0
        self.running = 0
        self.starts = 0.0
        """Sum of the start times of the running reconciles: gives their total age without a list of them."""
        self._gauges = {gauge: metrics.gauges[gauge].labels(name) for gauge in self._read()}

    def refresh(self) -> None:
        for gauge, value in self._read().items():
            self._gauges[gauge].set(value)

    def _read(self) -> dict[str, float]:
        return {
            "workqueue_depth": self.depth,
            "active_workers": self.running,
            "workqueue_unfinished_work_seconds": max(0.0, self.running * time.monotonic() - self.starts),
            "workqueue_longest_running_processor_seconds": self.queue.longest_running() if self.queue else 0.0,
            "workqueue_oldest_key_seconds": self.queue.oldest() if self.queue else 0.0,
        }


class Metrics:
    """All metrics and their registry. For the event loop's thread, but the registry may be rendered in any."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.counters = {
            name: Counter(f"decco_{name}_total", text, labels, registry=registry)
            for name, (text, *labels) in COUNTERS.items()
        }
        self.gauges = {
            name: Gauge(f"decco_{name}", text, labels, registry=registry) for name, (text, *labels) in GAUGES.items()
        }
        self.histograms = {
            name: Histogram(f"decco_{name}_seconds", text, labels, buckets=SECONDS, registry=registry)
            for name, (text, *labels) in HISTOGRAMS.items()
        }
        self.gauges["build_info"].labels(__version__, platform.python_version()).set(1)
        self._loops = {name: _Loop(self, name) for name in CONTROLLERS}
        self._requests: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._watches: dict[str, tuple[Gauge, Gauge]] = {}
        self._ready_counts: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._dns_lags: Callable[[], Mapping[tuple[str, str], float]] = dict
        self._expiries: dict[tuple[str, str], frozenset[str]] = {}
        """(gauge, Space) -> Secrets that have a series."""
        self._answers: Callable[[], Mapping[str, tuple[int, int]]] = dict
        for result in PROBE_RESULTS:
            self.counters["probe"].labels(result)

    # --- what exists: its series are at 0 from now on ---

    def add_resource(self, resource: str) -> None:
        """A kind that will be watched."""
        self._watch(resource)

    def add_dns_provider(self, provider: str) -> None:
        self.histograms["dns_call_duration"].labels(provider)
        for operation in DNS_OPERATIONS:
            self.counters["dns_calls"].labels(provider, operation, "ok")

    def add_child(self, resource: str) -> None:
        """A kind whose objects decco makes, and repairs."""
        self.counters["child_repairs"].labels(resource)

    def follow_queue(self, name: str, queue: Queue) -> None:
        """Reads the age of the queue's keys at each scrape; ``name`` is the controller's."""
        self._loop(name).queue = queue

    def follow_objects(self, kind: str, count: Callable[[], Mapping[str, int]]) -> None:
        """Reads at each scrape how many objects of the kind are Ready: "True", "False", "Unknown" -> number."""
        self._ready_counts[kind] = count

    def follow_dns(self, lags: Callable[[], Mapping[tuple[str, str], float]]) -> None:
        """Reads at each scrape how late each zone is: (provider, zone) -> seconds, 0 if it contains all desired
        records.
        """
        self._dns_lags = lags

    def follow_answers(self, counts: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        """Reads at each scrape how many endpoints of each Space answer, and how many do not."""
        self._answers = counts

    def refresh(self) -> None:
        """Updates the gauges that are read at a scrape; to be called in the event loop before each rendering."""
        for loop in self._loops.values():
            loop.refresh()
        for kind, count in self._ready_counts.items():
            counts = count()
            for ready in READY:
                self.gauges["objects"].labels(kind, ready).set(counts.get(ready, 0))
        for (provider, zone), seconds in self._dns_lags().items():
            self.gauges["dns_lag_seconds"].labels(provider, zone).set(seconds)
        self._refresh_answers()

    def _refresh_answers(self) -> None:
        """Of more than MAX_SPACES Spaces, those with failures come first, and the rest is one series without a name."""
        gauge, rest = self.gauges["endpoints"], [0, 0]
        gauge.clear()
        by_failures = sorted(self._answers().items(), key=lambda item: (-item[1][1], item[0]))
        for number, (space, counts) in enumerate(by_failures):
            if number < MAX_SPACES:
                for answers, count in zip(("true", "false"), counts, strict=True):
                    gauge.labels(space, answers).set(count)
            else:
                rest = [total + count for total, count in zip(rest, counts, strict=True)]
        if len(by_failures) > MAX_SPACES:
            for answers, count in zip(("true", "false"), rest, strict=True):
                gauge.labels("", answers).set(count)

    # --- what happens ---

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        """A reconcile ended; ``result`` is one of RESULTS."""
        loop = self._loop(controller)
        loop.results[result].inc()
        loop.time.observe(seconds)
        if result in {"error", "terminal"}:
            loop.errors.inc()

    def queue_added(self, name: str, depth: int) -> None:
        loop = self._loop(name)
        loop.adds.inc()
        loop.depth = depth

    def queue_taken(self, name: str, depth: int, waited: float) -> None:
        """A worker took a key that had waited so many seconds; ``depth`` keys are left."""
        loop = self._loop(name)
        loop.waited.observe(waited)
        loop.depth = depth
        loop.running += 1
        loop.starts += time.monotonic()

    def queue_done(self, name: str, worked: float) -> None:
        """A worker finished a key after so many seconds."""
        loop = self._loop(name)
        loop.worked.observe(worked)
        loop.running -= 1
        # Reset to 0 when idle, or rounding errors would accumulate.
        loop.starts = loop.starts - (time.monotonic() - worked) if loop.running else 0.0

    def queue_retried(self, name: str) -> None:
        self._loop(name).retries.inc()

    def queue_closed(self, name: str) -> None:
        self._loop(name).depth = 0

    def api_request(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A request to the API server ended; ``code`` is the HTTP status, or "<error>" without an answer."""
        key = (verb, resource, code)
        if (children := self._requests.get(key)) is None:
            total, duration = self.counters["api_requests"], self.histograms["api_request_duration"]
            children = self._requests[key] = total.labels(*key), duration.labels(verb)
        children[0].inc()
        children[1].observe(seconds)

    def watch_event(self, resource: str) -> None:
        """The watch of a kind received an event or a bookmark."""
        self._watch(resource)[0].set(time.time())

    def cache_objects(self, resource: str, count: int) -> None:
        self._watch(resource)[1].set(count)

    def watch_trouble(self, resource: str, cause: str) -> None:
        """A watch ended for a cause out of a small set, such as an error's class, and is opened again."""
        self.counters["watch_restarts"].labels(resource, cause).inc()

    def dns_call(self, provider: str, operation: str, result: str, seconds: float) -> None:
        self.counters["dns_calls"].labels(provider, operation, result).inc()
        self.histograms["dns_call_duration"].labels(provider).observe(seconds)

    def probed(self, result: str) -> None:
        """A probe of the edge ended; ``result`` is one of PROBE_RESULTS."""
        self.counters["probe"].labels(result).inc()

    def first_answer(self, seconds: float) -> None:
        """A changed endpoint answers, so many seconds after the change."""
        self.histograms["probe_first_answer"].observe(seconds)

    def child_repaired(self, resource: str) -> None:
        """A child differed from decco's last write with the desired state unchanged, and was written again."""
        self.counters["child_repairs"].labels(resource).inc()

    def expiries(self, space: str, expiries: Expiries) -> None:
        """All that a Space uses now and that expires; what is not in it is gone.

        Only what expires first has series: a tenant must not choose how many there are.
        """
        self._set_expiries("certificate_expiry_timestamp_seconds", space, expiries.certificates)
        self._set_expiries("crl_expiry_timestamp_seconds", space, expiries.lists)

    def _set_expiries(self, name: str, space: str, moments: Mapping[str, float]) -> None:
        gauge = self.gauges[name]
        if len(moments) > EXPIRIES_OF_A_SPACE:
            soonest = sorted(moments, key=lambda secret: (moments[secret], secret))[:EXPIRIES_OF_A_SPACE]
            moments = {secret: moments[secret] for secret in soonest}
        for secret, moment in moments.items():
            gauge.labels(space, secret).set(moment)
        for secret in self._expiries.pop((name, space), frozenset()) - moments.keys():
            gauge.remove(space, secret)
        if moments:
            self._expiries[name, space] = frozenset(moments)

    def leader(self, leads: bool) -> None:
        self.gauges["leader"].set(leads)
        if not leads:  # the leader reports what is in use
            for space in {space for _, space in self._expiries}:
                self.expiries(space, Expiries())

    def loop_lag(self, seconds: float) -> None:
        self.histograms["event_loop_lag"].observe(seconds)

    def loop_tasks(self, count: int) -> None:
        self.gauges["event_loop_tasks"].set(count)

    def event_dropped(self, count: int = 1) -> None:
        self.counters["events_dropped"].inc(count)

    def _loop(self, name: str) -> _Loop:
        if (loop := self._loops.get(name)) is None:
            loop = self._loops[name] = _Loop(self, name)
        return loop

    def _watch(self, resource: str) -> tuple[Gauge, Gauge]:
        """The time of the last event, and the number of objects."""
        if (gauges := self._watches.get(resource)) is None:
            moment, size = self.gauges["watch_last_event_timestamp_seconds"], self.gauges["cache_objects"]
            gauges = self._watches[resource] = moment.labels(resource), size.labels(resource)
        return gauges
