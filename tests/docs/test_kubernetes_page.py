"""The manifests of the Kubernetes page are valid, fit each other, and their files are read."""

import os
import sys
import types
import typing
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube.models import apps_v1, core_v1

from hypervisor_observability.config import load_config
from hypervisor_observability.errors import ConfigError
from hypervisor_observability.host.plugins import load_plugins
from tests.configurations import write_config
from tests.markdown import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "kubernetes.md"
KINDS: Mapping[str, type] = {
    "ConfigMap": core_v1.ConfigMap,
    "Secret": core_v1.Secret,
    "Deployment": apps_v1.Deployment,
}


def documents() -> dict[str, dict[str, Any]]:
    found = [
        document
        for block in blocks_of(PAGE)
        if block.language == "yaml"
        for document in yaml.safe_load_all(block.text)
    ]
    return {document["kind"]: document for document in found}


DOCUMENTS = documents()
FILES: dict[str, str] = DOCUMENTS["ConfigMap"]["data"]
POD = DOCUMENTS["Deployment"]["spec"]["template"]["spec"]
(SIDECAR,), (APPLICATION,) = POD["initContainers"], POD["containers"]


def problems(value: object, expected: Any, where: str) -> list[str]:
    """Give what does not fit the types of Kubernetes' own API, as its OpenAPI schema has them."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        found = [problems(value, one, where) for one in arguments if one is not type(None)]
        return min(found, key=len)
    if origin is list:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [
            problem
            for number, one in enumerate(value)
            for problem in problems(one, arguments[0], f"{where}[{number}]")
        ]
    if isinstance(expected, type) and expected.__module__.startswith("lightkube"):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        hints = typing.get_type_hints(expected)
        return [
            problem
            for key, one in value.items()
            for problem in (
                problems(one, hints[key], f"{where}.{key}")
                if key in hints
                else [f"{where}: there is no {key}"]
            )
        ]
    if expected in (str, int, bool) and type(value) is not expected:
        return [f"{where}: {value!r} is no {expected.__name__}"]
    return []


@pytest.mark.parametrize("kind", KINDS)
def test_manifest_fits_the_schema_of_kubernetes(kind: str) -> None:
    assert problems(DOCUMENTS[kind], KINDS[kind], kind) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("spec", "replica"), 2, "Deployment.spec: there is no replica"),
        (("spec", "replicas"), "2", "Deployment.spec.replicas: '2' is no int"),
        (("spec", "template", "spec", "containers"), {}, "containers: {} is no list"),
    ],
)
def test_what_does_not_fit_is_found(path: tuple[str, ...], value: object, told: str) -> None:
    document = yaml.safe_load(yaml.safe_dump(DOCUMENTS["Deployment"]))
    *above, last = path
    reduce(dict.__getitem__, above, document)[last] = value

    (problem,) = problems(document, apps_v1.Deployment, "Deployment")
    assert told in problem


def test_volumes_and_names_fit() -> None:
    volumes = {volume["name"]: volume for volume in POD["volumes"]}

    assert (
        volumes["configuration"]["configMap"]["name"] == DOCUMENTS["ConfigMap"]["metadata"]["name"]
    )
    assert volumes["secrets"]["secret"]["secretName"] == DOCUMENTS["Secret"]["metadata"]["name"]
    for container in (SIDECAR, APPLICATION):
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts.keys() <= volumes.keys()
        (variable,) = container["env"]
        folder, _, file = variable["value"].rpartition("/")
        assert folder == mounts["configuration"]
        assert f'directory = "{mounts["journal"]}/shop"' in FILES[file]
    assert SIDECAR["restartPolicy"] == "Always"
    labels = DOCUMENTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert DOCUMENTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The files as Kubernetes mounts them: links to links, in a folder that is replaced at once."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "api-key").write_text("s3cret")
    data = tmp_path / "hypervisor" / "..2026_11_28"
    data.mkdir(parents=True)
    (tmp_path / "hypervisor" / "..data").symlink_to(data.name)
    for name, text in FILES.items():
        text = text.replace("/journal/", f"{tmp_path}/journal/")  # noqa: PLW2901 - here
        text = text.replace("/etc/secrets/", f"{tmp_path}/")  # noqa: PLW2901 - here
        write_config(text, data / name).chmod(0o644)
        (tmp_path / "hypervisor" / name).symlink_to(Path("..data", name))
    return tmp_path / "hypervisor"


@pytest.mark.skipif(sys.platform == "win32", reason="Kubernetes mounts links")
@pytest.mark.parametrize("name", FILES)
def test_files_are_read_as_they_are_mounted(mounted: Path, name: str) -> None:
    config = load_config(mounted / name)
    loaded, found = load_plugins(config)

    assert found == []
    assert {one.name for one in loaded} == set(config.plugins)
    if "prometheus" in config.plugins:
        (port,) = SIDECAR["ports"]
        assert config.plugins["prometheus"].values["port"] == port["containerPort"]
        for probe in ("startupProbe", "livenessProbe"):
            assert SIDECAR[probe]["httpGet"]["port"] == port["name"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere, the bits mean nothing")
def test_mode_that_all_may_write_is_refused(mounted: Path) -> None:
    (mounted / "application.toml").resolve().chmod(0o666)

    with pytest.raises(ConfigError, match=r"everybody may write the file \(mode 0666\)"):
        load_config(mounted / "application.toml")
    assert "`everybody may write the file (mode 0666)`" in PAGE.read_text("utf-8")


def test_volume_holds_twice_what_the_journal_may_take(mounted: Path) -> None:
    limit = POD["volumes"][0]["emptyDir"]["sizeLimit"]
    sizes = {load_config(mounted / name).plugins["journal"].values["max_bytes"] for name in FILES}

    assert limit.endswith("Mi")
    assert sizes == {int(limit.removesuffix("Mi")) * 1024**2 // 2}


def test_pod_has_time_to_stop(mounted: Path) -> None:
    stops = sum(load_config(mounted / name).stop_timeout_seconds for name in FILES)

    assert POD["terminationGracePeriodSeconds"] > stops
