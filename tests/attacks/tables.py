"""All tables by name."""

from __future__ import annotations

from tests.attacks.attempts import Attempt
from tests.attacks.table_apps import APP_ATTEMPTS
from tests.attacks.table_controller import CONTROLLER_ATTEMPTS
from tests.attacks.table_namespaces import NAMESPACE_ATTEMPTS
from tests.attacks.table_roles import ROLE_ATTEMPTS
from tests.attacks.table_spaces import SPACE_ATTEMPTS
from tests.attacks.table_tenants import TENANT_TABLES

TABLES: dict[str, list[Attempt]] = {
    "spaces": SPACE_ATTEMPTS,
    "apps": APP_ATTEMPTS,
    "namespaces": NAMESPACE_ATTEMPTS,
    "controller": CONTROLLER_ATTEMPTS,
    "roles": ROLE_ATTEMPTS,
    **{name: list(attempts) for name, attempts in TENANT_TABLES.items()},
}
