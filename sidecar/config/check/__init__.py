"""What is wrong with a configuration, or doubtful: in a field, a section, and between parts."""
