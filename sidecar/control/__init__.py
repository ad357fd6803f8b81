"""What serves now, sources and reloads, the admin server, metrics, the own log."""
