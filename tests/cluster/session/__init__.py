"""Labs that stay."""
