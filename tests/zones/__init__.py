"""Apps in availability zones: real scheduler, real node lifecycle, nodes that run nothing."""
