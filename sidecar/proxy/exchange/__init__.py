"""One attempt: a request sent on an upstream connection, and its reply received."""
