"""Real parts to run decco against: a control plane in seconds, and a proxy that injects faults.

Nothing here is shipped with decco, and nothing of decco is imported here but by name of its manifests: the testbed must
be able to disagree with the code it tests.
"""
