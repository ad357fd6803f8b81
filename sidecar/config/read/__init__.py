"""Text into plain values: YAML with its lines, references, and the structs that values become."""
