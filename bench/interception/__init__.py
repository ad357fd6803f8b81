"""What interception costs: TLS terminated and made anew, and connections passed through."""
