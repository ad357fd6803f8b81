"""Tasks: what an application wants done, by name, instead of which model to ask for it."""
