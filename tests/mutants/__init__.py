"""Mutants of the source: small changes made by a program, which the tests must notice."""
