"""Where the text of the configuration comes from."""
