"""What a request's body becomes before it goes upstream: bounds, fields, context, system prompt."""
