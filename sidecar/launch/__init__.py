"""`sidecar exec` and `sidecar env`: any program, beside a sidecar, without changing it."""
