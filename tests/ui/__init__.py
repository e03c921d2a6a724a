"""The page of ``decco ui`` in a real browser, and what the integration tests of it share with that."""
