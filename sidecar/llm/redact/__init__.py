"""Secrets and personal data in prompts: found, masked, and restored in replies."""
