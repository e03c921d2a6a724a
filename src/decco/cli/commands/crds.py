"""``decco crds``: the CRDs of this version, for ``kubectl apply --server-side -f -``."""

from __future__ import annotations

import argparse
import sys

from decco.api.crd import crds_yaml


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Install them with: decco crds | kubectl apply --server-side -f -"


def run(arguments: argparse.Namespace) -> int:
    del arguments
    sys.stdout.write(crds_yaml())
    return 0
