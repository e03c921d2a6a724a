"""24 hours of churn, as fast as they go: is the controller as small and as tidy at their end as at their beginning?

    python -m tests.soak --reconciles 200000 --seed 7

The real ``decco-controller`` on a real control plane, behind a proxy that breaks watches and requests. Each hour ends
with a checkpoint, at which everything is as it was at first: then memory may be compared, and tasks, files, sockets
and cached objects have to be the same in number. Exit status 1 if not, or if what is there differs from a fresh render.
Which clocks run fast and which do not: ``docs/design/2026-11-23-soak.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from pathlib import Path

from testbed.progress import say
from tests.soak.day import Plan, soak
from tests.soak.leaks import LEAKS
from tests.soak.verdict import growth, table

FOLDER = Path("build/soak")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--reconciles", type=int, default=int(os.environ.get("RECONCILES") or "200000"))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(100_000)))
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--spaces", type=int, default=20)
    parser.add_argument("--apps", type=int, default=10, help="in each Space")
    parser.add_argument("--plant", choices=LEAKS, default="", help="a leak, to see that it is found")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    story = asyncio.run(soak(Plan(**vars(arguments)), FOLDER, say))
    print(*table(story.checkpoints), sep="\n")
    for title, counts in (("happened", story.happened), ("clocks", story.clocks), ("reconciles", story.results)):
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    early, late = growth(story.checkpoints)
    for each in story.complaints:
        print(f"LEFT OVER: {each}")
    print(
        f"soak reconciles={story.checkpoints[-1].reconciles} hours={arguments.hours} seed={arguments.seed} "
        f"memory={late / early - 1:+.1%} complaints={len(story.complaints)} seconds={time.monotonic() - started:.0f}"
    )
    return 1 if story.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
