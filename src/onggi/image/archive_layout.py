"""Facts of archives: which files there are, and where the name of an image stands.

    OCI layout       oci-layout  index.json  blobs/<algorithm>/<hex>
    docker archive   manifest.json  repositories, and the configs and layers that they name

Source: image-spec image-layout.md; moby image/tarexport/tarexport.go; containerd
core/images/annotations.go, AnnotationImageName.
"""

from __future__ import annotations

from onggi.oci.digest import Digest

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_VERSION = "1.0.0"

DOCKER_FILE = "manifest.json"
REPOSITORIES_FILE = "repositories"

# Where containerd and Docker keep the whole name.
CONTAINERD_NAME = "io.containerd.image.name"
# The specification's annotation: a whole name, a repository or a tag alone, as the writer pleases.
REF_NAME = "org.opencontainers.image.ref.name"


def blob_file(digest: Digest) -> str:
    """Name the file of a blob in an image layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"
