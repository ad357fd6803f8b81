"""The sidecar in Kubernetes: what is put into pods, and the rules that redirect to it."""
