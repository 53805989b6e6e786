"""The performance table: what the configurations cost, measured side by side."""
