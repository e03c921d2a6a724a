"""The controller's metrics: names and labels as in controller-runtime, with the prefix ``decco_``.

Every metric exists from the start, with its label sets at 0 where they are known: an alert on a series that appears
with the first failure would miss that failure. Lower layers call the small methods of ``Metrics`` through their own
protocols and callables and do not depend on Prometheus. Those methods are cheap (about 4 µs a reconcile, 1.5 µs a
request): label children are kept, and what only a scrape reads becomes a gauge in ``refresh``.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector

from decco import __version__

CONTROLLERS = ("space", "app")
RESULTS = ("success", "requeue", "conflict", "error", "terminal")
"""How a reconcile can end; error and terminal are failures, a conflict is not."""
READY = ("True", "False", "Unknown")
DNS_OPERATIONS = ("zones", "records", "apply")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of all histograms: from a reconcile that finds nothing to do to a request at its time limit."""


class Queue(Protocol):
    """What a scrape reads of a work queue; both in seconds, 0 if the queue is idle."""

    def oldest(self) -> float: ...
    def longest_running(self) -> float: ...


class _Names:
    """Makes metrics of one registry with decco's prefix and the suffixes that OpenMetrics requires."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"decco_{name}_total", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"decco_{name}", text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"decco_{name}_seconds", text, labels, buckets=SECONDS, registry=self._registry)


class _ReconcileMetrics:
    def __init__(self, new: _Names) -> None:
        self.total = new.counter("reconcile", "Reconciles, by how they ended.", "controller", "result")
        self.errors = new.counter("reconcile_errors", "Reconciles that ended in error or terminal.", "controller")
        self.time = new.histogram("reconcile_time", "Duration of a reconcile.", "controller")
        self.active = new.gauge("active_workers", "Workers that are reconciling now.", "controller")


class _QueueMetrics:
    def __init__(self, new: _Names) -> None:
        self.depth = new.gauge("workqueue_depth", "Keys that wait in the queue.", "name")
        self.adds = new.counter("workqueue_adds", "Keys that were queued.", "name")
        self.waited = new.histogram("workqueue_queue_duration", "Time that a key waited in the queue.", "name")
        self.worked = new.histogram("workqueue_work_duration", "Time that work on a key took.", "name")
        self.retries = new.counter("workqueue_retries", "Keys that were queued again after a failure.", "name")
        self.unfinished = new.gauge("workqueue_unfinished_work_seconds", "Age of all running work, summed.", "name")
        self.longest = new.gauge(
            "workqueue_longest_running_processor_seconds", "Age of the work that has been running longest.", "name"
        )
        self.oldest = new.gauge("workqueue_oldest_key_seconds", "Age of the key that has waited longest.", "name")


class _Loop:
    """One controller and its queue, which share a name: their label children, and counts between scrapes."""

    def __init__(self, name: str, reconcile: _ReconcileMetrics, queue: _QueueMetrics) -> None:
        self.results = {result: reconcile.total.labels(name, result) for result in RESULTS}
        self.errors = reconcile.errors.labels(name)
        self.time = reconcile.time.labels(name)
        self.active = reconcile.active.labels(name)
        self.depth_gauge = queue.depth.labels(name)
        self.adds = queue.adds.labels(name)
        self.waited = queue.waited.labels(name)
        self.worked = queue.worked.labels(name)
        self.retries = queue.retries.labels(name)
        self.unfinished = queue.unfinished.labels(name)
        self.longest = queue.longest.labels(name)
        self.oldest = queue.oldest.labels(name)
        self.queue: Queue | None = None
        self.depth = 0
        self.running = 0
        self.starts = 0.0
        """Sum of the start times of the running reconciles: gives their total age without a list of them."""

    def refresh(self) -> None:
        self.depth_gauge.set(self.depth)
        self.active.set(self.running)
        self.unfinished.set(max(0.0, self.running * time.monotonic() - self.starts))
        if self.queue is not None:
            self.longest.set(self.queue.longest_running())
            self.oldest.set(self.queue.oldest())


class Metrics:
    """All metrics and their registry. For the event loop's thread, but the registry may be rendered in any."""

    def __init__(self, controllers: Iterable[str] = CONTROLLERS) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        new = _Names(self.registry)
        self._reconcile = _ReconcileMetrics(new)
        self._queue = _QueueMetrics(new)
        self._requests = new.counter(
            "api_requests", "Requests to the API server; code <error> had no answer.", "verb", "resource", "code"
        )
        self._request_time = new.histogram("api_request_duration", "Duration of a request to the API server.", "verb")
        self._watch_event = new.gauge(
            "watch_last_event_timestamp_seconds", "When the watch last received anything; 0 if never.", "resource"
        )
        self._watch_restarts = new.counter("watch_restarts", "Watches that were opened again.", "resource", "cause")
        self._cached = new.gauge("cache_objects", "Objects in the cache.", "resource")
        self._objects = new.gauge("objects", "Spaces and Apps by their Ready condition.", "kind", "ready")
        self._dns_calls = new.counter("dns_calls", "Calls to DNS providers.", "provider", "operation", "result")
        self._dns_time = new.histogram("dns_call_duration", "Duration of a call to a DNS provider.", "provider")
        self._dns_lag = new.gauge(
            "dns_lag_seconds", "Age of the oldest change that a zone has not taken yet.", "provider", "zone"
        )
        self._repairs = new.counter(
            "child_repairs", "Children that somebody else had changed or deleted and decco wrote again.", "resource"
        )
        self._expiry = new.gauge(
            "certificate_expiry_timestamp_seconds", "When a certificate in use expires.", "space", "secret"
        )
        self._leader = new.gauge("leader", "1 while this process leads.")
        self._lag = new.histogram("event_loop_lag", "How late the event loop runs what is due.")
        self._tasks = new.gauge("event_loop_tasks", "Tasks of the event loop that have not ended.")
        self._dropped = new.counter("events_dropped", "Kubernetes Events that were not sent.")
        info = new.gauge("build_info", "Always 1; the labels say what runs.", "version", "python")
        info.labels(__version__, platform.python_version()).set(1)

        self._loops = {name: _Loop(name, self._reconcile, self._queue) for name in controllers}
        self._request_children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._cache_sizes: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._ready_counts: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._dns_lags: Callable[[], Mapping[tuple[str, str], float]] = dict
        self._certificates: dict[str, frozenset[str]] = {}

    # --- what exists ---

    def add_resource(self, resource: str) -> None:
        """A kind that will be watched: its series are at 0 from now on."""
        self._cache_sizes.setdefault(resource, 0)
        self._heard.setdefault(resource, 0.0)

    def add_dns_provider(self, provider: str) -> None:
        """A DNS provider that will be called."""
        self._dns_time.labels(provider)
        for operation in DNS_OPERATIONS:
            self._dns_calls.labels(provider, operation, "ok")

    def add_child(self, resource: str) -> None:
        """A kind whose objects decco makes, and repairs."""
        self._repairs.labels(resource)

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

    def refresh(self) -> None:
        """Updates the gauges that are read at a scrape; to be called in the event loop before each rendering."""
        for loop in self._loops.values():
            loop.refresh()
        for resource, size in self._cache_sizes.items():
            self._cached.labels(resource).set(size)
        for resource, moment in self._heard.items():
            self._watch_event.labels(resource).set(moment)
        for kind, count in self._ready_counts.items():
            counts = count()
            for ready in READY:
                self._objects.labels(kind, ready).set(counts.get(ready, 0))
        for (provider, zone), seconds in self._dns_lags().items():
            self._dns_lag.labels(provider, zone).set(seconds)

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
        """The queue is empty."""
        self._loop(name).depth = 0

    def api_request(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A request to the API server ended; ``code`` is the HTTP status, or "<error>" without an answer."""
        key = (verb, resource, code)
        children = self._request_children.get(key)
        if children is None:
            children = self._requests.labels(*key), self._request_time.labels(verb)
            self._request_children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def watch_event(self, resource: str) -> None:
        """The watch of a kind received an event or a bookmark."""
        self._heard[resource] = time.time()

    def watch_trouble(self, resource: str, cause: str) -> None:
        """A watch ended for a cause out of a small set, such as an error's class, and is opened again."""
        self._watch_restarts.labels(resource, cause).inc()

    def cache_objects(self, resource: str, count: int) -> None:
        self._cache_sizes[resource] = count

    def dns_call(self, provider: str, operation: str, result: str, seconds: float) -> None:
        self._dns_calls.labels(provider, operation, result).inc()
        self._dns_time.labels(provider).observe(seconds)

    def child_repaired(self, resource: str) -> None:
        """A child differed from decco's last write with the desired state unchanged, and was written again."""
        self._repairs.labels(resource).inc()

    def certificates(self, space: str, expiries: Mapping[str, float]) -> None:
        """All certificates that a Space uses now, Secret's name -> Unix time of expiry; what is not in it is gone."""
        for secret, moment in expiries.items():
            self._expiry.labels(space, secret).set(moment)
        for secret in self._certificates.pop(space, frozenset()) - expiries.keys():
            self._expiry.remove(space, secret)
        if expiries:
            self._certificates[space] = frozenset(expiries)

    def leader(self, leads: bool) -> None:
        self._leader.set(leads)
        if not leads:  # the leader reports which certificates are in use
            for space in list(self._certificates):
                self.certificates(space, {})

    def loop_lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def loop_tasks(self, count: int) -> None:
        self._tasks.set(count)

    def event_dropped(self, count: int = 1) -> None:
        self._dropped.inc(count)

    def _loop(self, name: str) -> _Loop:
        loop = self._loops.get(name)
        if loop is None:
            loop = self._loops[name] = _Loop(name, self._reconcile, self._queue)
        return loop
