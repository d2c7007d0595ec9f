"""Index, manifest, config and descriptor: against the published schemas, and against attackers."""

import json
from typing import Any

import jsonschema
import pytest

from onggi.errors import Corrupt, OnggiError, Unsupported
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.image import History, ImageConfig, Index, Manifest, parse_manifest_or_index
from onggi.oci.platform import Platform
from support.specifications import specification

AMD64 = Platform("linux", "amd64")
CONFIG = Descriptor.of(b"config", media_types.OCI_CONFIG)
LAYER = Descriptor.of(b"layer", media_types.OCI_LAYER)
MANIFEST = Manifest.of(CONFIG, (LAYER,))


def published(name: str) -> Any:
    return json.loads(specification(f"oci-image/{name}").read_text())


def validate(value: object, schema: str) -> None:
    """Check a value against a schema of the image specification and all it refers to."""
    store = {
        f"https://opencontainers.org/schema/{name}": published(name)
        for name in ("defs.json", "defs-descriptor.json", "content-descriptor.json")
    }
    resolved = _inlined(published(schema), store, "")
    jsonschema.Draft4Validator(resolved).validate(value)


def _inlined(node: Any, store: dict[str, Any], file: str) -> Any:
    """Put every `$ref` target in its place; the schemas have no cycles."""
    if isinstance(node, list):
        return [_inlined(item, store, file) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name, _, pointer = node["$ref"].partition("#")
        target = store[f"https://opencontainers.org/schema/{name or file}"]
        for part in filter(None, pointer.split("/")):
            target = target[part]
        return _inlined(target, store, name or file)
    return {key: _inlined(item, store, file) for key, item in node.items() if key != "id"}


def changed(document: Manifest | Index | ImageConfig, **changes: Any) -> bytes:
    return json.dumps({**document.to_json(), **changes}).encode()


def test_what_we_write_is_valid() -> None:
    config = ImageConfig.of(AMD64, created="2024-01-01T00:00:00Z").with_layer(
        Digest.of(b"tar"), History(created="2024-01-01T00:00:00Z", created_by="COPY . /")
    )
    config = config.with_history(History(created_by="CMD", empty_layer=True))
    config = config.with_settings(
        {
            "Cmd": ["sh"],
            "Env": ["A=b"],
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"a": "b"},
            "User": "1000:1000",
        }
    )
    validate(config.to_json(), "config-schema.json")
    validate(MANIFEST.to_json(), "image-manifest-schema.json")
    index = Index.of((MANIFEST.descriptor().with_platform(AMD64).with_annotations({"a": "b"}),))
    validate(index.to_json(), "image-index-schema.json")


def test_the_same_document_gives_the_same_bytes() -> None:
    one = ImageConfig.from_json({**ImageConfig.of(AMD64).to_json(), "author": "a"})
    other = ImageConfig.from_json({"author": "a", **ImageConfig.of(AMD64).to_json()})
    assert one.to_bytes() == other.to_bytes()
    assert one.digest == other.digest == Digest.of(one.to_bytes())
    assert one == other


def test_bytes_read_are_bytes_written() -> None:
    data = json.dumps(MANIFEST.to_json(), indent=3).encode()
    manifest = Manifest.from_bytes(data)
    assert manifest.to_bytes() == data
    assert manifest.descriptor() == Descriptor.of(data, media_types.OCI_MANIFEST)
    assert manifest.with_annotations({}).to_bytes() == MANIFEST.to_bytes()


def test_unknown_fields_survive_a_change() -> None:
    value = {
        **MANIFEST.to_json(),
        "future": {"a": [1, 2.5, None]},
        "config": {**CONFIG.to_json(), "urls": ["https://example.com"]},
    }
    manifest = Manifest.from_json(value).with_annotations({"k": "v"})
    assert manifest.to_json()["future"] == {"a": [1, 2.5, None]}
    assert manifest.config.to_json()["urls"] == ["https://example.com"]


def test_a_view_cannot_be_changed_through_what_it_was_given_or_gives() -> None:
    value = MANIFEST.to_json()
    manifest = Manifest.from_json(value)
    value["layers"] = []
    manifest.to_json()["layers"] = []
    assert manifest.layers == (LAYER,)
    config = ImageConfig.of(AMD64).with_settings({"Labels": {"a": "b"}})
    config.settings["Labels"] = {}
    config.labels["a"] = "c"
    assert config.labels == {"a": "b"}


def test_reading_a_config() -> None:
    settings: dict[str, Any] = {
        "User": "app",
        "Env": ["A=b"],
        "Entrypoint": None,
        "Cmd": ["sh", "-c", "true"],
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "ExposedPorts": {"81/udp": {}, "80/tcp": {}},
        "Volumes": None,
        "Shell": ["/bin/bash", "-c"],
        "OnBuild": ["RUN true"],
        "Healthcheck": {"Test": ["CMD", "true"]},
    }
    config = ImageConfig.of(Platform("linux", "arm", "v7")).with_settings(settings)
    assert str(config.platform) == "linux/arm/v7"
    assert (config.user, config.env, config.entrypoint) == ("app", ("A=b",), ())
    assert config.cmd == ("sh", "-c", "true")
    assert (config.working_dir, config.stop_signal) == ("/srv", "SIGQUIT")
    assert (config.exposed_ports, config.volumes) == (("80/tcp", "81/udp"), ())
    assert (config.shell, config.onbuild) == (("/bin/bash", "-c"), ("RUN true",))
    assert config.healthcheck == {"Test": ["CMD", "true"]}
    assert (config.created, config.author, config.labels, config.history) == ("", "", {}, ())


def test_changing_a_config() -> None:
    config = ImageConfig.of(AMD64).with_settings({"Cmd": ["a"], "User": "x"})
    config = config.with_settings({"Cmd": None}).with_created("2024-01-01T00:00:00Z")
    assert (config.cmd, config.user, config.created) == ((), "x", "2024-01-01T00:00:00Z")
    config = config.with_layer(Digest.of(b"1"), History(created_by="one"))
    config = config.with_layer(Digest.of(b"2"), History(created_by="two", extra={"note": 1}))
    assert config.diff_ids == (Digest.of(b"1"), Digest.of(b"2"))
    assert [entry.to_json() for entry in config.history] == [
        {"created_by": "one"},
        {"created_by": "two", "note": 1},
    ]
    assert str(config.with_platform(Platform("linux", "arm64")).platform) == "linux/arm64"


@pytest.mark.parametrize("field", ["manifests", "fsLayers"])
def test_a_manifest_with_fields_of_an_index_is_refused(field: str) -> None:
    with pytest.raises(Corrupt, match=f"has '{field}', which belongs to another kind"):
        Manifest.from_bytes(changed(MANIFEST, **{field: [MANIFEST.descriptor().to_json()]}))


@pytest.mark.parametrize("field", ["config", "layers"])
def test_an_index_with_fields_of_a_manifest_is_refused(field: str) -> None:
    index = Index.of((MANIFEST.descriptor(),))
    with pytest.raises(Corrupt, match=f"has '{field}', which belongs to another kind"):
        Index.from_bytes(changed(index, **{field: MANIFEST.to_json()[field]}))


def test_a_document_of_another_type_than_its_descriptor_says_is_refused() -> None:
    data = MANIFEST.to_bytes()
    assert parse_manifest_or_index(data, media_types.OCI_MANIFEST) == MANIFEST
    with pytest.raises(Corrupt, match="says it is"):
        parse_manifest_or_index(data, media_types.DOCKER_MANIFEST)
    with pytest.raises(Corrupt, match="belongs to another kind"):
        parse_manifest_or_index(data, media_types.OCI_INDEX)
    with pytest.raises(Unsupported, match="application/json"):
        parse_manifest_or_index(data, "application/json")
    silent = changed(MANIFEST, mediaType=None)
    assert isinstance(parse_manifest_or_index(silent, media_types.DOCKER_MANIFEST), Manifest)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schemaVersion": 3}, "'schemaVersion' is not 2"),
        ({"schemaVersion": "2"}, "'schemaVersion' is not an integer"),
        ({"schemaVersion": True}, "'schemaVersion' is not an integer"),
        ({"schemaVersion": 1}, "schema 1 are not supported"),
        ({"mediaType": "text/plain"}, "has media type 'text/plain'"),
        ({"config": None}, "has no 'config'"),
        ({"config": []}, "config is not a JSON object"),
        ({"config": {"mediaType": "x/y", "size": 1}}, "has no 'digest'"),
        ({"layers": None}, "has no 'layers'"),
        ({"layers": {}}, "'layers' is not a list"),
        ({"layers": ["x"]}, "layers is not a JSON object"),
        ({"layers": [{**LAYER.to_json(), "size": -1}]}, "'size' is negative"),
        ({"layers": [{**LAYER.to_json(), "size": 1.5}]}, "'size' is not an integer"),
        ({"layers": [{**LAYER.to_json(), "digest": "sha256:../x"}]}, "invalid digest"),
        ({"annotations": {"a": 1}}, "'annotations' is not an object of strings"),
    ],
)
def test_malformed_manifests(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(OnggiError, match=complaint):
        Manifest.from_bytes(changed(MANIFEST, **changes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"os": None}, "has no 'os'"),
        ({"architecture": 7}, "'architecture' is not a string"),
        ({"rootfs": {"type": "layers+base"}}, "'type' is not 'layers'"),
        ({"rootfs": {"type": "layers", "diff_ids": ["x"]}}, "invalid digest 'x'"),
        ({"rootfs": {"type": "layers", "diff_ids": [1]}}, "'diff_ids' is not a list of strings"),
        ({"history": [1]}, "history is not a JSON object"),
        ({"history": [{"empty_layer": "yes"}]}, "'empty_layer' is not true or false"),
        ({"config": {"Env": "A=b"}}, "config: 'Env' is not a list"),
        ({"config": {"Cmd": [["sh"]]}}, "config: 'Cmd' is not a list of strings"),
        ({"config": {"User": 0}}, "config: 'User' is not a string"),
        ({"config": {"Labels": {"a": None}}}, "config: 'Labels' is not an object of strings"),
        ({"config": {"Volumes": ["/data"]}}, "config: 'Volumes' is not an object"),
    ],
)
def test_malformed_configs(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Corrupt, match=complaint):
        ImageConfig.from_bytes(changed(ImageConfig.of(AMD64), **changes))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1, "a": 2}', "key 'a' occurs twice"),
        (b'{"a": "\\uD800"}', "not valid JSON"),
        (b'{"a": ' + b"[" * 200_000, "not valid JSON"),
        (b'{"a": "' + b"x" * (4 << 20) + b'"}', "more than the allowed"),
    ],
)
def test_what_is_not_a_document(data: bytes, complaint: str) -> None:
    with pytest.raises(Corrupt, match=complaint):
        ImageConfig.from_bytes(data)


def test_descriptors() -> None:
    value = {
        **LAYER.to_json(),
        "platform": {"os": "linux", "architecture": "amd64", "os.features": ["x"]},
        "annotations": {"a": "b"},
        "data": "bGF5ZXI=",
    }
    descriptor = Descriptor.from_json(value)
    assert descriptor.to_json() == value
    assert descriptor.bare() == LAYER
    assert descriptor.with_annotations({}).with_platform(None).to_json()["data"] == "bGF5ZXI="
    assert hash(descriptor) == hash(LAYER)
    assert descriptor != LAYER
    validate(descriptor.to_json(), "content-descriptor.json")
