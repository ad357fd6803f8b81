"""What an LLM call is: dialects, models, stream events. Pure."""
