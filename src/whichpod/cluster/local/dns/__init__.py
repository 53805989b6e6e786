"""The cluster's DNS: what CoreDNS with its kubernetes plugin is in a cluster."""
