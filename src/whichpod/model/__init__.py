"""The types that everything else speaks in. Standard library only; imports nothing of whichpod's."""
