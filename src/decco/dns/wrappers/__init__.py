"""Features shared by all providers, each implemented as a provider that wraps a provider."""
