"""Scenarios in time: what is done to a lab under load, and what is asked of what was measured."""
