"""Calls that name a task: `POST /v1/tasks`, and the header `x-llm-task`."""
