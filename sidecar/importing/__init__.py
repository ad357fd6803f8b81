"""Makes configurations of the files of other proxies."""
