"""What people ask of a sidecar in a terminal, beside its calls."""
