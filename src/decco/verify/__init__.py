"""``decco verify``: tries on a cluster what decco promises, with temporary Spaces and Apps; see docs/verify.md."""
