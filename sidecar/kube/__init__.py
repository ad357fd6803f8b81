"""The sidecar in Kubernetes: what is put into pods, and the webhook that does it."""
