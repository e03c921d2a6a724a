"""End to end: real clients, a real edge, real pods with the real sidecar; the real controller in between."""
