"""``decco verify`` on a node of the testbed: real edge, enforced policies, real DNS server, whole and sabotaged."""
