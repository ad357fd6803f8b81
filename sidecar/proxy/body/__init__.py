"""A request's body, and the memory that all of them share."""
