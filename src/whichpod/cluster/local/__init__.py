"""Labs of this machine: pods as processes, the real proxies, a control plane and DNS of their own.

What the clusters `loopback` and `netns` share. How pods reach one another is a `fabric`'s business.
"""
