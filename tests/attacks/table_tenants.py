"""The tables of tenants' own objects, each under the name of its policy."""

from __future__ import annotations

from collections.abc import Sequence

from tests.attacks.attempts import Attempt
from tests.attacks.table_annotations import ANNOTATION_ATTEMPTS
from tests.attacks.table_children import CHILD_ATTEMPTS
from tests.attacks.table_hostnames import HOSTNAME_ATTEMPTS
from tests.attacks.table_isolation import ISOLATION_ATTEMPTS
from tests.attacks.table_owners import OWNER_ATTEMPTS
from tests.attacks.table_pods import POD_ATTEMPTS
from tests.attacks.table_routes import KIND_ATTEMPTS, ROUTE_ATTEMPTS
from tests.attacks.table_services import NETWORK_ATTEMPTS, SERVICE_ATTEMPTS

TENANT_TABLES: dict[str, Sequence[Attempt]] = {
    "tenant-hostnames": HOSTNAME_ATTEMPTS,
    "tenant-routes": ROUTE_ATTEMPTS,
    "tenant-kinds": KIND_ATTEMPTS,
    "tenant-annotations": ANNOTATION_ATTEMPTS,
    "tenant-services": SERVICE_ATTEMPTS,
    "tenant-network": NETWORK_ATTEMPTS,
    "tenant-owners": OWNER_ATTEMPTS,
    "tenant-pods": POD_ATTEMPTS,
    "tenant-children": CHILD_ATTEMPTS,
    "space-pods": ISOLATION_ATTEMPTS,
}
