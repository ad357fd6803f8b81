"""Kubernetes: the sidecar put into pods, by a webhook or in files. An island: no data plane."""
