"""Enumerated fault plans on the real API server: docs/design/2026-11-30-enumerated-faults.md."""
