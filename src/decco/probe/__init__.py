"""Probes of the edge: whether each published name answers as decco's objects say.

Plain asyncio and ssl, without Kubernetes: ``service.Prober`` receives targets and reports verdicts. What is probed, and
how, is described in docs/design/2026-11-29-prober.md.
"""
