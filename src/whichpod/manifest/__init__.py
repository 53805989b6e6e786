"""Kubernetes and Istio YAML, read into typed objects that know their file and line.

    manifest.load.load(*sources: Path | str, lenient=False) -> Bundle    Path: file or folder; str: YAML
    manifest.load.load_text(text, file="manifest", *, lenient=False) -> Bundle
    manifest.placement.locality_of(bundle, deployment, number) -> Locality    where a pod is
    manifest.volumes.content(bundle, deployment, volume, field) -> dict       the files of a volume

A Deployment stands for every kind of workload; see its `kind`, `pod_name`, `labels_of` and `rollout`. Keys of
ConfigMaps and Secrets are values of variables already, and GRPCRoutes are VirtualServices as well.

Imports nothing optional: PyYAML is imported when the first manifest is read.
"""
