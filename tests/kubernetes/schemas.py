"""Kubernetes' published schemas, each read once: reading takes ten times as long as checking an object."""

from __future__ import annotations

import functools
import importlib
from typing import Any

utils: Any = importlib.import_module("kubernetes_validate.utils")
utils.schema_contents = functools.cache(utils.schema_contents)
utils.all_versions = functools.cache(utils.all_versions)

SCHEMAS: Any = importlib.import_module("kubernetes_validate")
