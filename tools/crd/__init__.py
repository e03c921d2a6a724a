"""The CRDs and their reference pages, generated from the models in src/decco/api and the ones of the status here."""
