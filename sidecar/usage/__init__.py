"""What the command line's own definitions make: completion for shells, and the man page. Pure."""
