"""How calls fare on a faulty fleet: direct, through the sidecar, and through Envoy."""
