"""A model of an API server, in memory: as much of its semantics as a controller depends on.

It is compared with the real one by random sequences of operations (tests/integration/test_simulated_server.py).
"""
