from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.manifests import bundle, config_map, deployment
from whichpod.cluster.local.files import Files
from whichpod.manifest.kinds import Container, VolumeMount, Where
from whichpod.model.errors import ManifestError

TEXT = "include /etc/app/x.conf;\nroot /etc/application; log /var/log/app/a.log"


def mounted(tmp_path: Path, mounts: str, volume: str) -> Files:
    what = bundle(
        deployment(more=f"volumeMounts: {mounts}", volumes=f"volumes: [{volume}]"),
        config_map("files", "a.conf", TEXT),
    )
    d = what.deployments[0]
    files = Files(tmp_path / "root", ("/var/log/app",), d.containers[0])
    files.mount(what, d, d.containers[0], lambda path: f"<{path}>")
    return files


def test_a_config_map_is_files_and_paths_in_them_are_real(tmp_path: Path) -> None:
    files = mounted(tmp_path, "[{name: v, mountPath: /etc/app}]", "{name: v, configMap: {name: files}}")
    root = tmp_path / "root"
    assert files.real("/etc/app/a.conf").read_text() == (
        f"include {root}/etc/app/x.conf;\nroot /etc/application; log {root}/var/log/app/a.log\n"
    )
    assert files.real("/var/log/app").is_dir()


def test_items_and_sub_paths(tmp_path: Path) -> None:
    volume = "{name: v, configMap: {name: files, items: [{key: a.conf, path: d/b.conf}]}}"
    files = mounted(tmp_path, "[{name: v, mountPath: /etc/app}]", volume)
    assert files.real("/etc/app/d/b.conf").is_file()
    assert not files.real("/etc/app/a.conf").exists()
    mounts = "[{name: v, mountPath: /etc/one.conf, subPath: a.conf}]"
    files = mounted(tmp_path / "2", mounts, "{name: v, configMap: {name: files}}")
    assert files.real("/etc/one.conf").is_file()


def test_an_empty_dir_and_an_optional_config_map_are_empty(tmp_path: Path) -> None:
    for volume in ("{name: v, emptyDir: {}}", "{name: v, configMap: {name: nope, optional: true}}"):
        files = mounted(tmp_path, "[{name: v, mountPath: /data}]", volume)
        assert list(files.real("/data").iterdir()) == []


@pytest.mark.parametrize(
    ("mounts", "volume", "said"),
    [
        (
            "[{name: v, mountPath: /x}]",
            "{name: v, configMap: {name: files, items: [{key: nope, path: x}]}}",
            "has no key 'nope'",
        ),
        ("[{name: v, mountPath: /x, subPath: nope}]", "{name: v, configMap: {name: files}}", "mounts 'nope'"),
    ],
)
def test_files_that_are_not_there(mounts: str, volume: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=rf"test.yaml:\d+: .*{said}"):
        mounted(tmp_path, mounts, volume)


@pytest.mark.parametrize(
    "same", ["/etc/apple", "x/etc/app", "../etc/app", "/etc/app-2/x", "http://h/etc/app.d", "no path"]
)
def test_what_only_looks_like_a_path_stays(same: str, tmp_path: Path) -> None:
    container = Container("c", "x", Where("f", 1), mounts=(VolumeMount("v", "/etc/app"),))
    assert Files(tmp_path, (), container).rewrite(same) == same


def test_without_mounts_nothing_is_rewritten(tmp_path: Path) -> None:
    assert Files(tmp_path, (), Container("c", "x", Where("f", 1))).rewrite("/etc/app") == "/etc/app"
