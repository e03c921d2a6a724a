"""The picture of projects in docs/concepts.md: what ``decco graph`` draws of manifests/examples/picture."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

from decco.settings import Settings
from decco.views import documents, drawing
from decco.views.connectivity import connectivity
from decco.views.simulation import simulate
from decco.views.snapshot import from_documents

PICTURE = "docs/assets/projects.svg"
EXAMPLE = Path(__file__).resolve().parents[1] / "manifests" / "examples" / "picture"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
"""The files have no certificates, so no time is in the picture."""


def outputs() -> dict[str, str]:
    """Path in the checkout -> content."""
    settings = Settings.model_validate({"edge": {"namespace": "edge"}})
    snapshot = from_documents(documents.read([str(EXAMPLE)], io.StringIO()), settings)
    snapshot.forget_children()
    return {PICTURE: drawing.svg(connectivity(snapshot, asyncio.run(simulate(snapshot, THEN))))}
