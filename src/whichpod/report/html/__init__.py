"""HTML reports: one file each, without scripts and without anything from elsewhere."""
