"""The parts of `Scripts/check-leaks`: what was reached, the homes it is reached from, and the scenario."""
