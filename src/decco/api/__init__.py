"""The two kinds of decco as models, with their validation and their CRDs."""
