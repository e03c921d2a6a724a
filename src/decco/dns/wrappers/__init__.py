"""What every provider needs and none should do itself, each as a provider around a provider."""
