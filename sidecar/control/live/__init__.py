"""The live page: what it shows, computed while somebody looks, and its files."""
