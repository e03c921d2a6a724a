"""The operators that decco is compared with, each a program of its own: ``--kubeconfig --recipe --in-flight``.

Each watches Spaces and Apps, and for each of them writes the children and the status that its recipe has for it
(bench/recipe.py). What is measured is the framework: list and watch, cache, queue, encoding, requests. None of them
computes what is desired, as decco does.
"""
