"""Causes of a spread, one file a concern. Each takes a Scene and gives a Diagnosis or None."""
