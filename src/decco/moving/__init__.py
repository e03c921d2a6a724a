"""``decco move``: a Space and its Apps go from one cluster to another, with their host names, and without an outage.

``side.py`` is one of the two clusters, ``survey.py`` what would be done and what is in the way, ``mover.py`` the steps.
The reasons are in docs/design/2026-11-30-move.md.
"""
