"""A simulated LLM fleet for the demo, tests and benchmarks."""
