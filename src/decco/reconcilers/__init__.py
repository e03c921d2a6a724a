"""Gather, decide, apply, report: the only place where Kubernetes, desired state and DNS meet."""
