"""Labs that stay: a process that owns one, and commands that act on it from elsewhere.

The owner runs the lab and listens on a Unix socket in a folder of the user's. A command connects, sends one
request, hears how it goes on, and gets an answer: JSON, an object per line.
"""
