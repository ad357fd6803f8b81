"""Which endpoints there are, and what outlives a reload of theirs."""
