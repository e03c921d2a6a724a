"""Writes docs/performance.md with its pictures, and the figures of README.md, from bench/results.json.

python -m bench.page            write them
python -m bench.page --check    exit status 1, and a line, if one is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench import plots, readme
from bench.results import known

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = "docs/performance.md"
HEAD: Final = """# Performance

Written by `python -m bench.page` from `bench/results.json`, which the benchmarks write.

decco is compared with programs that write the same objects: a bare client (`raw`, aiohttp without any framework), and
operators made with kopf, kubernetes_asyncio and controller-runtime (Go). What they write is recorded from decco's own
requests, so they need not compute it. After each run every object is compared, byte for byte but for UIDs, versions
and times: a run with other objects does not count.

Each run has a control plane of its own, with a new etcd, on the same machine as the program; the order of programs
rotates. Trust the ratios, not the seconds: server, etcd and program share the cores, and other programs may have been
running (load). Each cell is the median, with least and most in brackets. CPU is in seconds until the end of the work.

```
make bench NAME=cold APPS=1000 SPACES=50 REPEATS=5
make bench NAME=restart APPS=1000 SPACES=50
make bench NAME=minimal
make bench NAME=steady APPS=1000 SPACES=50 DURATION=600 TOUCHES=10000
make bench SPACES=10 APPS=200 REPEATS=1
```

The last one runs all, at these sizes.

"""
EXPLAINED: Final = {
    "cold": "Spaces and Apps are stored, then the program starts: until all children and statuses are there.",
    "restart": "decco is started with everything settled: until an edit made at the start has reached its Deployment, "
    "compared with a bare client that reads the same lists.",
    "minimal": "Edits of one field each in settled Apps: writes that decco needed, compared with objects that differ.",
    "steady": "Everything is settled, then labels of other clients change on Apps: CPU of a core, compared with 0.3 %.",
    "cpu": "CPU of the program in `cold`.",
    "memory": "Resident memory three seconds after `cold`.",
    "flood": "Apps are edited while decco makes all others after its start: until the edit is in the Deployment, "
    "compared with the same edits when nothing waits. Limit: 60 ms.",
    "latency": "An App is posted: until all its children are visible, while idle and among writes that concern nobody. "
    "The bare client follows Apps, and writes the children in two steps, the workload last.",
    "linear": "`cold` with ten times the Apps: time and memory divided by ten times those of the smaller run; how long "
    "the event loop was blocked. Limit: 100 ms.",
    "rotation": "The certificate that all Spaces share is replaced: until the last copy has it, compared with prepared "
    "PUTs. Limit: no stale copy.",
    "neighbour": "A Space creates Apps without pause; another edits one each second, a third one reads: compared with "
    "the time before. Limit: no answer 429.",
    "coalesce": "One App gets another image 100 times a second for 10 s: all writes of decco, compared with one for "
    "each 50 ms. Limit: the last state is there within 100 ms.",
    "teardown": "All Spaces are deleted: until nothing is left, compared with Kubernetes alone, while decco does not "
    "run.",
}
COLUMNS: Final = (
    ("seconds", "seconds"),
    ("cpu_seconds", "CPU"),
    ("cpu_apiserver_seconds", "CPU of API server"),
    ("cpu_etcd_seconds", "CPU of etcd"),
    ("settled_mb", "MB"),
    ("peak_mb", "MB, peak"),
    ("sent_mb", "MB sent"),
    ("received_mb", "MB received"),
    ("load_before", "load before"),
)


def page(results: Mapping[str, Any]) -> str:
    """The whole page."""
    return (
        HEAD
        + _overview(results)
        + "\n".join(line for name, entry in results.items() for line in _section(name, entry)).rstrip()
        + "\n"
    )


def _overview(results: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name} {entry['ratio'] / entry['goal']:.2f}" for name, entry in results.items())
    return f"![Ratio as a multiple of the goal: {words}](assets/performance/goals.svg)\n\n"


def _section(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    machine = entry["machine"]
    sizes = ", ".join(f"{entry[key]} {key}" for key in ("spaces", "apps", "repeats") if key in entry)
    sizes = sizes or "One run"
    yield f"## {name}\n"
    yield f"{EXPLAINED[name]}\n"
    verdict = "met" if entry.get("met", entry["ratio"] <= entry["goal"]) else "not met"
    yield f"Ratio **{entry['ratio']:.2f}**, goal at most {entry['goal']:.2f}: {verdict}. {sizes}."
    yield f"{entry['on']}, {machine['cores']} cores, Python {machine['python']}.\n"
    contenders = entry.get("contenders")
    if contenders:
        for column, _ in plots.drawn(contenders):
            file = f"assets/performance/{name}-{column.replace('_', '-')}.svg"
            yield f"![{plots.alt(name, entry, column)}]({file})\n"
        shown = [(key, title) for key, title in COLUMNS if any(key in each for each in contenders.values())]
        yield f"| program | in flight | {' | '.join(title for _, title in shown)} |"
        yield f"|---|---|{'---|' * len(shown)}"
        for who, each in contenders.items():
            cells = " | ".join(_cell(each[key]) for key, _ in shown)
            yield f"| {who} {each['version']} | {each['in_flight']} | {cells} |"
        yield "\nRequests that the API server counted, those of the benchmark itself among them:\n"
        verbs = sorted({verb for each in contenders.values() for verb in each["requests"]})
        yield f"| program | {' | '.join(verbs)} |"
        yield f"|---|{'---|' * len(verbs)}"
        for who, each in contenders.items():
            yield f"| {who} | {' | '.join(str(each['requests'].get(verb, 0)) for verb in verbs)} |"
    for what, value in entry.get("figures", {}).items():
        yield f"* {what}: {_cell(value) if isinstance(value, dict) else f'{value:g}'}"
    yield ""


def _cell(spread: Mapping[str, float]) -> str:
    return f"{_number(spread['median'])} ({_number(spread['least'])}-{_number(spread['most'])})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.page", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    results = known()
    figures = readme.between((ROOT / readme.PAGE).read_text(), readme.figures(results))
    files = {PAGE: page(results), readme.PAGE: figures, **plots.outputs(results)}
    drawn = {str(each.relative_to(ROOT)) for each in (ROOT / plots.FOLDER).glob("*.svg")}
    stale = drawn - files.keys()
    for name, text in files.items():
        path = ROOT / name
        if path.exists() and path.read_text() == text:
            continue
        stale.add(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if check and stale:
        print(f"{', '.join(sorted(stale))}: stale: run make generate")
        return 1
    for name in drawn - files.keys():
        (ROOT / name).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
