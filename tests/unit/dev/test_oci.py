import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from codesessions_dev.local.oci import write_archive


def test_an_archive_is_an_oci_layout_whose_digests_hold(tmp_path: Path) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("hello"), io.BytesIO())
    target = tmp_path / "image.tar"
    write_archive(target, "localhost/x:1", layer.getvalue(), ["/hello"])

    with tarfile.open(target) as archive:
        files = {m.name: f.read() for m in archive.getmembers() if (f := archive.extractfile(m))}
    blobs = {name: content for name, content in files.items() if name.startswith("blobs/sha256/")}
    assert all(name.rpartition("/")[2] == hashlib.sha256(content).hexdigest() for name, content in blobs.items())
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "localhost/x:1"
    manifest = json.loads(blobs["blobs/sha256/" + entry["digest"].removeprefix("sha256:")])
    config = json.loads(blobs["blobs/sha256/" + manifest["config"]["digest"].removeprefix("sha256:")])
    packed = blobs["blobs/sha256/" + manifest["layers"][0]["digest"].removeprefix("sha256:")]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest()]
    assert config["config"]["Entrypoint"] == ["/hello"]
