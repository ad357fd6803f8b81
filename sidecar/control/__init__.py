"""The running snapshot, the watcher, the admin server, the metrics exporter."""
