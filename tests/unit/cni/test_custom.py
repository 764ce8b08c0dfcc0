from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.artifacts.wanted import Wanted, WantedFile
from provision.cni import documents
from provision.cni.custom import Custom
from provision.config.cni import CniConfig
from provision.errors import ConfigError
from tests.fakes import cni


def own(tmp_path: Path, text: str = cni.OWN, **keys: Any) -> Custom:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return Custom(CniConfig(name="own", manifest=str(file), **keys))


BUSYBOX = "docker.io/library/busybox:1.37"


def test_what_every_bundle_has_is_fetched_for_nobody(tmp_path: Path) -> None:
    assert not own(tmp_path).wanted()
    custom = own(tmp_path, cni.OWN.replace("busybox:1.37", "own.example/agent:1"), images=["own.example/x:2"])
    assert custom.wanted() == Wanted(images=("own.example/agent:1", "own.example/x:2"))


def test_a_manifest_of_ones_own_is_applied_as_it_is(tmp_path: Path) -> None:
    custom = own(tmp_path)
    site = cni.make_site(tmp_path, cni.TCG)
    published = custom.read(site.files, site)
    assert custom.documents(site, published) == list(yaml.safe_load_all(cni.OWN))


def test_an_image_of_ones_own_that_is_not_in_the_bundle_is_refused(tmp_path: Path) -> None:
    bundle = cni.make_cni_bundle(tmp_path / "bundle", {}, BUSYBOX)
    own(tmp_path).check(bundle)
    other = cni.OWN.replace("busybox:1.37", "own.example/agent:1")
    for text, images in ((other, []), (cni.OWN, ["own.example/agent:1"])):
        custom = own(tmp_path, text, images=images)
        with pytest.raises(ConfigError, match=r"the image own\.example/agent:1") as caught:
            custom.check(bundle)
        assert (caught.value.exit_code, caught.value.key) == (2, "cni.manifest")
        assert BUSYBOX in caught.value.hint


@pytest.mark.parametrize("pinned", ["own.example/agent:1", "own.example/agent", "busybox:1.37"])
def test_a_manifest_pinned_by_digest_is_refused_before_anything_is_fetched(
    tmp_path: Path, pinned: str
) -> None:
    image = f"{pinned}@{cni.PINNED}"
    text = cni.OWN.replace("busybox:1.37", image)
    with pytest.raises(ConfigError, match=f"asks for .*{image}") as caught:
        own(tmp_path, text).wanted()
    assert (caught.value.exit_code, caught.value.key) == (2, "cni.manifest")
    assert "cni.images" in caught.value.hint
    # Behind a URL it is known once the manifest is there, before any image is.
    remote = Custom(CniConfig(name="own", manifest="https://own.example/own.yaml"))
    (tmp_path / remote.file().name).write_text(text)
    with pytest.raises(ConfigError, match="asks for"):
        remote.images(lambda name: tmp_path / name)


@pytest.mark.parametrize(
    ("image", "policy", "refused"),
    [
        ("own.example/agent:1", "Always", True),
        ("own.example/agent:latest", None, True),
        ("own.example/agent", None, True),
        ("own.example/agent:latest", "IfNotPresent", False),
        ("own.example/agent:1", "Never", False),
        ("own.example/agent:1", None, False),
    ],
)
def test_an_image_that_nodes_would_pull_at_every_start_is_refused(
    tmp_path: Path, image: str, policy: str | None, refused: bool
) -> None:
    text = cni.OWN.replace("busybox:1.37", image)
    if policy:
        text = text.replace(f'image: "{image}"', f'image: "{image}", imagePullPolicy: {policy}')
    if not refused:
        assert own(tmp_path, text).wanted().images == (documents.full_reference(image),)
        return
    with pytest.raises(ConfigError, match="download nothing") as caught:
        own(tmp_path, text).wanted()
    assert (caught.value.key, "IfNotPresent" in caught.value.hint) == ("cni.manifest", True)


def test_an_image_is_held_to_the_digest_that_lab_yaml_names(tmp_path: Path) -> None:
    ref, text = "own.example/agent:1", cni.OWN.replace("busybox:1.37", "own.example/agent:1")
    custom = own(tmp_path, text, images=[f"{ref}@{cni.PINNED}"])
    assert custom.wanted() == Wanted(images=(f"{ref}@{cni.PINNED}",))
    custom.check(cni.make_cni_bundle(tmp_path / "right", {}, ref, digest=cni.PINNED))
    other = cni.make_cni_bundle(tmp_path / "other", {}, ref, digest=f"sha256:{'e' * 64}")
    with pytest.raises(ConfigError, match=f"the image {ref}@{cni.PINNED}"):
        custom.check(other)


@pytest.mark.parametrize(
    ("text", "word"), [(None, "there is no file"), ("a: [", "line 2"), ("- a", "no Kubernetes")]
)
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, word: str) -> None:
    custom = own(tmp_path, text or "")
    if text is None:
        Path(custom.settings.manifest).unlink()
    with pytest.raises(ConfigError, match=word) as caught:
        custom.wanted()
    assert (caught.value.exit_code, caught.value.key) == (2, "cni.manifest")


def test_a_manifest_behind_a_url_comes_from_the_bundle(tmp_path: Path) -> None:
    url = "https://own.example/own.yaml"
    custom = Custom(CniConfig(name="own", manifest=url, images=["own.example/x:2"]))
    wanted = custom.wanted()
    (file,) = wanted.files
    assert (file.url, wanted.images) == (url, ("own.example/x:2",))
    assert isinstance(file, WantedFile)
    bundle = cni.make_cni_bundle(tmp_path, {file.name: cni.OWN}, BUSYBOX, "own.example/x:2")
    custom.check(bundle)
    with pytest.raises(ConfigError, match=file.name):
        custom.check(cni.make_cni_bundle(tmp_path / "empty", {}, BUSYBOX, "own.example/x:2"))
