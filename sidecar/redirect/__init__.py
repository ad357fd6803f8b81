"""The kernel redirects connections to the sidecar: rules, what writes them, and a proof."""
