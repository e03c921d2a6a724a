"""The page of ``decco ui`` without a cluster and without a browser."""
