"""whichpod: which pod answered?"""
