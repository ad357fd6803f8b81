"""What a configuration may say, but hardly means: warnings, one module for each part of it."""
