"""The times of the leader election: client-go's, and only in an order in which a Lease is renewed before it is lost."""

from __future__ import annotations

import pytest

from decco.kube.lease import Times


def test_the_defaults_are_those_of_client_go() -> None:
    assert (Times().lease, Times().renew, Times().retry) == (15.0, 10.0, 2.0)


@pytest.mark.parametrize(
    ("lease", "renew", "retry"),
    [(10.0, 10.0, 2.0), (15.0, 2.0, 2.0), (15.0, 10.0, 0.0), (15.0, 10.0, -1.0), (5.0, 10.0, 2.0), (15.0, 1.0, 2.0)],
)
def test_times_in_another_order_are_refused(lease: float, renew: float, retry: float) -> None:
    with pytest.raises(ValueError, match="in this order: lease > renew > retry > 0"):
        Times(lease=lease, renew=renew, retry=retry)


def test_times_in_order_are_accepted() -> None:
    assert Times(lease=3.0, renew=2.0, retry=1.0).call == 1.0
    assert Times(lease=15.0, renew=10.0, retry=2.0).call == 5.0
