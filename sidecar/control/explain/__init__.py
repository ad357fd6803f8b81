"""Where would this call go? The answer, made by the router and the stacks that serve calls."""
