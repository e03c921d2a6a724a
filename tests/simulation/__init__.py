"""The whole controller on virtual time, against a model of an API server, with faults by seed.

``python -m tests.simulation`` runs schedules; docs/design/2026-11-29-simulation.md describes the parts.
"""
