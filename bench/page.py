"""Writes docs/performance.md from bench/results.json.

python -m bench.page            write the page
python -m bench.page --check    exit status 1, and a line, if the page is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

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
```

"""
EXPLAINED: Final = {
    "cold": "Spaces and Apps are stored, then the program starts: until all children and statuses are there.",
    "restart": "decco is started with everything settled: until an edit made at the start has reached its Deployment, "
    "compared with a bare client that reads the same lists.",
    "minimal": "Edits of one field each in settled Apps: writes that decco needed, compared with objects that differ.",
    "steady": "Everything is settled, then labels of other clients change on Apps: CPU of a core, compared with 0.3 %.",
    "cpu": "CPU of the program in `cold`.",
    "memory": "Resident memory three seconds after `cold`.",
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
    return HEAD + "\n".join(line for name, entry in results.items() for line in _section(name, entry)).rstrip() + "\n"


def _section(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    machine = entry["machine"]
    sizes = ", ".join(f"{entry[key]} {key}" for key in ("spaces", "apps", "repeats") if key in entry)
    yield f"## {name}\n"
    yield f"{EXPLAINED[name]}\n"
    verdict = "met" if entry["ratio"] <= entry["goal"] else "not met"
    yield f"Ratio **{entry['ratio']:.2f}**, goal at most {entry['goal']:.2f}: {verdict}. {sizes}."
    yield f"{entry['on']}, {machine['cores']} cores, Python {machine['python']}.\n"
    contenders = entry.get("contenders")
    if contenders:
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
    text, path = page(known()), ROOT / PAGE
    if not check:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        print(f"{PAGE} is stale: run make generate")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
