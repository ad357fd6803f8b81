"""Text into a frozen Config, or a list of located errors. Pure."""
