"""The layers of a route's stack, one concern each."""
