"""The two kinds of decco as models: what a person may write, and what the CRDs say about it."""
