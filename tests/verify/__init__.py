"""``decco verify`` on the node of the testbed: a real edge, enforced policies, a real DNS server, whole and sabotaged."""
