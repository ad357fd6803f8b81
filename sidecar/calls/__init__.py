"""`sidecar calls`: the calls that ended last, in a terminal."""
