"""The matrix: a folder per configuration (YAML, plan, expectation), and what runs them."""
