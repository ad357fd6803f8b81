"""Which route a call takes, and the stack of layers that each route has."""
