"""Side-by-side measurement of the sidecar and other proxies: `python -m bench --help`."""
