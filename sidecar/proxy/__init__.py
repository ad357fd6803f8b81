"""The life of a call: router, stack of layers, attempt."""
