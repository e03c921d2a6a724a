"""One module for each group of probes, with ``PROBES``; ``plan.py`` has their order."""
