"""Weights of a rule score, learnt: an environment, an agent, and what must stand beside it to be believed."""
