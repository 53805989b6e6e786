"""Claims that are often repeated, each with the runs that settle it."""
