"""Kubernetes and Istio YAML, read into typed objects that know their file and line.

    manifest.load.load(*sources: Path | str) -> Bundle      Path: file or folder; str: YAML text
    manifest.load.load_text(text, file="manifest") -> Bundle

Imports nothing optional: PyYAML is imported when the first manifest is read.
"""
