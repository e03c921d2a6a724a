"""Proposes a Space and Apps for the objects of a namespace: Ingresses, Services, workloads and what scales them.

inventory.py sorts the input; workloads.py, pods.py and defaults.py make an App of a workload; annotations.py and
routes.py read Ingresses, backends.py finds the pods behind a Service, and endpoints.py makes endpoints of both;
services.py has Services that stay Services, scaling.py budgets and autoscalers; proposal.py puts all together.
"""
