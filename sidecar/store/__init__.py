"""Values that many sidecars share, behind a small protocol."""
