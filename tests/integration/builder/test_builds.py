"""Builds of all kinds, by the real programs against a real registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib

import pytest
from codesessions_builder import cache
from codesessions_oci.errors import NotFoundError
from codesessions_oci.registry import Registry
from support.building import Site, zipped

SITE = {"index.html": "<h1>hello</h1>", "css/a.css": "body {}", ".csignore": ""}


async def test_a_static_site_becomes_a_layer_on_the_base(site: Site) -> None:
    built = await site.build(SITE)
    assert built.code == 0, built.log
    assert "Static site: there is index.html." in built.log
    manifest, config, entries, packed = await site.image(built)
    assert {"app", "app/index.html", "app/css", "app/css/a.css"} <= set(entries)
    assert entries["app/index.html"].mode == 0o644
    assert {entry.uid for entry in entries.values()} == {0}
    (time,) = {entry.mtime for entry in entries.values()}
    other = await site.build({**SITE, "index.html": "<h1>HELLO</h1>"})
    assert time not in {entry.mtime for entry in (await site.image(other))[2].values()}, "or ETags would lie"
    assert config["config"]["Cmd"][0] == "lighttpd"
    assert config["config"]["User"] == "1000:1000"
    assert config["config"]["WorkingDir"] == "/app"
    assert "PORT=8080" in config["config"]["Env"]
    assert "PORT=1" not in config["config"]["Env"]
    labels = config["config"]["Labels"]
    assert labels["codesessions.dev/session"] == "cs_1"
    assert labels["org.opencontainers.image.base.digest"] == built.result["baseDigest"]
    assert (labels["y"], "org.opencontainers.image.title" in labels) == ("z", False)
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 2
    tar = zlib.decompress(packed, 31)
    assert config["rootfs"]["diff_ids"][-1] == "sha256:" + hashlib.sha256(tar).hexdigest()


async def test_the_same_files_make_the_same_image_and_others_another(site: Site) -> None:
    digests = [(await site.build(files)).result["imageDigest"] for files in (SITE, SITE, {**SITE, "x": "y"})]
    assert digests[0] == digests[1] != digests[2]


async def test_the_statement_says_what_of_whom_and_on_what(site: Site) -> None:
    built = await site.build(SITE)
    statement = await site.statement(built)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": built.result["imageDigest"].removeprefix("sha256:")}
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["session"] == "cs_1"
    assert definition["externalParameters"]["user"] == "user_1"
    assert [each["name"] for each in definition["resolvedDependencies"]] == ["source", "base"]
    assert statement["predicate"]["runDetails"]["metadata"]["invocationId"] == "demo/b-1"


async def test_node_pages_come_from_the_build_script(site: Site) -> None:
    package = {"scripts": {"build": "mkdir -p dist && node make.js"}}
    make = "require('fs').writeFileSync('dist/index.html', 'made'); console.log('working')"
    built = await site.build({"package.json": json.dumps(package), "make.js": make})
    assert built.code == 0, built.log
    assert "$ npm run build" in built.log
    assert "working" in built.log
    _, config, entries, _ = await site.image(built)
    assert set(entries) == {"app", "app/index.html"}, "the pages alone"
    assert config["config"]["Cmd"][0] == "lighttpd"


async def test_a_node_server_is_started_without_npm_between(site: Site) -> None:
    built = await site.build({"package.json": json.dumps({"scripts": {"start": "node x.js"}}), "x.js": "1"})
    assert (built.code, built.result["language"]) == (0, "node"), built.log
    _, config, entries, _ = await site.image(built)
    assert config["config"]["Cmd"] == ["/bin/sh", "-c", "exec node x.js"]
    assert "app/x.js" in entries


async def test_a_python_script_without_packages_needs_no_network(site: Site) -> None:
    built = await site.build({"main.py": "import http.server, os\nos.environ['PORT']\n"})
    assert (built.code, built.result["language"]) == (0, "python"), built.log
    _, config, _, _ = await site.image(built)
    assert config["config"]["Cmd"] == ["/bin/sh", "-c", "exec python3 main.py"]


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({"readme.md": "x"}, "no_language", "There is: readme.md"),
        ({}, "no_language", "nothing at all"),
        ({"package.json": "{}", "requirements.txt": "flask"}, "ambiguous", "Procfile"),
        ({"package.json": "{"}, "source_invalid", "package.json"),
        ({"Procfile": "worker: x"}, "no_start_command", "web: COMMAND"),
        ({"main.py": "print(1)"}, "no_start_command", "FastAPI"),
        ({"package.json": "{}"}, "no_start_command", "script `start`"),
        ({"Dockerfile": "FROM x"}, "needs_buildah", "buildah"),
        ({"package.json": '{"scripts": {"build": "echo oops; exit 3", "start": "x"}}'}, "step_failed", "oops"),
        (
            {"package.json": '{"scripts": {"build": "echo getaddrinfo ENOTFOUND; exit 1"}}'},
            "no_package_index",
            "build.env",
        ),
        ({"index.html": "", ".wh.x": ""}, "bad_name", ".wh.x"),
    ],
)
async def test_failures_say_what_to_do(site: Site, files: dict[str, str], code: str, words: str) -> None:
    built = await site.build(files)
    assert (built.code, built.result["code"], built.result["transient"]) == (1, code, False), built.log
    assert words in built.result["error"]
    assert built.result["error"][:100] in built.log


async def test_a_build_that_is_killed_is_told_from_one_that_fails(site: Site) -> None:
    built = await site.build({"package.json": json.dumps({"scripts": {"build": "kill -9 $PPID; kill -9 $$"}})})
    assert built.result["code"] in {"step_killed", "step_failed"}
    assert "137" in built.result["error"] or "killed" in built.result["error"]


async def test_what_a_step_leaves_running_holds_nothing_up(site: Site) -> None:
    package = {"scripts": {"build": "mkdir dist; echo x >dist/index.html; (sleep 100 &) ; echo done"}}
    built = await site.build({"package.json": json.dumps(package)})
    assert built.code == 0, built.log


async def test_a_step_cannot_have_other_files_taken(site: Site) -> None:
    package = {"scripts": {"build": "ln -s /etc dist; ln -s /etc/passwd x"}}
    built = await site.build({"package.json": json.dumps(package)})
    assert built.result["code"] == "no_start_command", "a link is no folder of pages"


async def test_a_source_that_lies_is_refused(site: Site) -> None:
    built = await site.build(zipped({"../x": "y"}))
    assert (built.code, built.result["code"]) == (1, "source_invalid")
    assert "'../x'" in built.result["error"]
    built = await site.build(b"no zip at all, but long enough to be one")
    assert built.result["code"] == "source_invalid"


async def test_a_limit_of_the_order_holds(site: Site) -> None:
    built = await site.build({"index.html": "0123456789"}, limits={"file": 5})
    assert built.result["code"] == "file_too_large"


async def test_a_registry_that_is_down_is_worth_another_try(site: Site) -> None:
    site.real.stop()
    try:
        built = site._run("sha256:" + "0" * 64, "sha256:" + "0" * 64, {}, {})
    finally:
        site.real.start()
    assert (built.code, built.result["code"], built.result["transient"]) == (75, "registry_unavailable", True)


async def test_a_source_that_is_gone_is_said(site: Site) -> None:
    await site.build(SITE)
    built = site._run("sha256:" + "0" * 64, "sha256:" + "0" * 64, {}, {})
    assert built.result["code"] in {"source_missing", "registry_refused"}
    assert built.code == 1


async def test_the_layer_can_be_read_by_others(site: Site) -> None:
    name = "long" * 60 + "/é" + "x" * 120
    built = await site.build({"index.html": "x", name: "y"})
    _, _, entries, packed = await site.image(built)
    assert f"app/{name}" in entries
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        content = tar.extractfile(f"app/{name}")
        assert content is not None
        assert content.read() == b"y"


async def test_what_steps_fetch_is_there_for_the_next_build(site: Site) -> None:
    build = (
        "find $npm_config_cache -name got | grep -q . && echo found it || echo nothing yet;"
        " mkdir -p $npm_config_cache/deep; echo x >$npm_config_cache/deep/got; ln -s /etc/passwd $npm_config_cache/link"
    )
    files = {"package.json": json.dumps({"scripts": {"build": build, "start": "node x.js"}}), "x.js": ""}
    first, second = await site.build(files), await site.build(files)
    assert first.code == second.code == 0, second.log
    assert "nothing yet" in first.log
    assert "found it" in second.log
    assert not (site.folder / str(site.count) / "cache" / "npm" / "deep" / "link").exists()


async def test_of_a_cache_only_the_last_one_is_kept(site: Site) -> None:
    build = "mkdir -p $npm_config_cache; date +%N >$npm_config_cache/moment"
    files = {"package.json": json.dumps({"scripts": {"build": build, "start": "node x.js"}}), "x.js": ""}
    async with Registry(site.real.settings()) as registry:
        digests = []
        for _ in range(2):
            built = await site.build(files)
            assert "Dependency cache: kept" in built.log
            digests.append((await registry.get_manifest(site.repository("app-1"), cache.TAG)).digest)
        with pytest.raises(NotFoundError):
            await registry.get_manifest(site.repository("app-1"), digests[0])


async def test_a_cache_that_is_damaged_costs_only_time(site: Site) -> None:
    async with Registry(site.real.settings()) as registry:
        blob = await registry.push_bytes(site.repository("app-1"), b"no tar at all", cache.MEDIA_TYPE)
        await registry.push_artifact(site.repository("app-1"), cache.TAG, cache.TYPE, [blob], {})
    built = await site.build({"package.json": json.dumps({"scripts": {"build": "true", "start": "node x"}})})
    assert built.code == 0, built.log
