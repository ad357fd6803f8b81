"""The local certificate authority, which only the programs beside this sidecar trust."""
