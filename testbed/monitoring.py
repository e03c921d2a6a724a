"""The CRDs of the Prometheus Operator, out of its Go module: the judge of our ServiceMonitor and PrometheusRule."""

from __future__ import annotations

from pathlib import Path

from testbed import golang
from testbed.assets import HERE
from testbed.found import AssetsMissing
from testbed.versions import PROMETHEUS_OPERATOR

FOLDER = "example/prometheus-operator-crd"
KINDS = ("servicemonitors", "prometheusrules")


def monitoring_crds() -> list[Path]:
    """The files with the CRDs of the kinds that decco's manifests use.

    Raises:
        AssetsMissing: there is no Go, or its module cannot be downloaded.
    """
    try:
        folder = golang.module_folder(PROMETHEUS_OPERATOR, HERE) / FOLDER
    except golang.GoFailed as error:
        raise AssetsMissing(f"the CRDs of the Prometheus Operator are not to be had: {error}") from error
    return [folder / f"monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
