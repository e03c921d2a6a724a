"""Amounts of Kubernetes as messages show them."""

from __future__ import annotations

import pytest

from decco.quantities import quantity


@pytest.mark.parametrize(
    ("value", "shown"),
    [("134217728", "128Mi"), (2147483648, "2Gi"), ("128Mi", "128Mi"), ("500m", "500m"), ("2048", "2048"), ("0", "0")],
)
def test_a_plain_number_of_bytes_is_shown_with_its_unit(value: object, shown: str) -> None:
    found = quantity(value)
    assert found is not None
    assert found.readable == shown
