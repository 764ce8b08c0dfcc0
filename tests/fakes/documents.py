"""Texts of a lab.yaml, right ones and wrong ones, for hypothesis to draw."""

from __future__ import annotations

import yaml
from hypothesis import strategies as st

from provision import extensions

VALID = st.fixed_dictionaries(
    {"name": st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)},
    optional={
        "kubernetes": st.from_regex(r"v?1\.3[567](\.[1-9])?", fullmatch=True),
        "provider": st.sampled_from(["auto", *extensions.PROVIDERS]),
        "cni": st.sampled_from(["auto", *extensions.CNIS]),
        "controlPlanes": st.fixed_dictionaries(
            {}, optional={"count": st.sampled_from([1, 3, 5, 7]), "memory": st.integers(1700, 9000)}
        ),
        "workers": st.fixed_dictionaries(
            {}, optional={"count": st.integers(0, 50), "disk": st.integers(12, 99)}
        ),
        "network": st.fixed_dictionaries(
            {},
            optional={
                "nodes": st.sampled_from(["172.16.0.0/25", "192.168.128.0/17", "198.18.0.0/24"]),
                "pods": st.sampled_from(["10.128.0.0/9", "172.20.0.0/17", "100.64.0.0/10"]),
                "services": st.sampled_from(["10.0.0.0/12", "172.31.0.0/28"]),
            },
        ),
    },
)
# All keys of lab.yaml and of its short forms, and some that are none.
_KEYS = """
name kubernetes provider runtime cni controlPlanes workers network artifacts proxy count cpus memory disk
nodes pods services mtu mirror bundle files images ca version values manifest sha256 http https noProxy x
kubeadm kubelet kubeProxy apiServerExtraArgs etcdExtraArgs featureGates apiServerCertSANs clusterDomain
patches mode
disks labels taints address packages timeZone
"""
KEYS = [*_KEYS.split(), ""]
_WORDS = """
lab 1.36 1.36.3 1.36.٣ 3GiB 10.0.0.0/16 10.0.0.0/0 999.1.1.1/8 ::/0 auto none calico own quay.io cni.yaml
http://m.test/ü http://a..b http://[::1]:0 https://me:pw@m.test ../.. ~ - = << ٣ %s{}#{x}
1_0 0x1F 0777 1:30 1e999 2026-01-01 Asia/Seoul
"""
WORDS = [
    *_WORDS.split(),
    f"https://{'a' * 64}.test",
    "9" * 5000,
    "\x1b]0;x\x07",
    "\u202e",
    "\0",
    "{{ x }}",
]
SCALARS = (
    st.sampled_from(WORDS)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=20)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=5) | st.integers() | st.none(), inner, max_size=6
        )
    ),
    max_leaves=12,
)
# Tags whose values PyYAML itself does not read, anchors, ends of documents, and other marks; a line each.
MARKS = [
    *"""!!bool x
!!int ''
!!float ''
!!timestamp x
!!binary ä
!!python/object:os.system {}
!!set {a, b}
!!omap [a: 1]
!!null x
!x y
&a [*a]
&a {b: *a}
*a
<<: *a
? [a]: b
%YAML 9.9""".splitlines(),
    *("---\n", "...\n", "|\n", "\t", "\r", "\ufeff", "\x85", "'", '"', "[" * 300, "{" * 300, ": ", "#"),
]
ALPHABET = "name: lab\n-[]{}&*!|>'\"#%@`,?<01."
SECTIONS = ("controlPlanes", "workers", "network")
BATCH = 20


def dump(value: object) -> str:
    """Return YAML text, by the library in C where there is one: Python's own takes ten times as long."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(value, Dumper=dumper, allow_unicode=True))


@st.composite
def batches(draw: st.DrawFn) -> list[str | bytes]:
    """Draw BATCH texts that have most parts in common, since drawing them takes longer than reading them."""
    base = draw(VALID)
    text = dump(base)
    strange = draw(st.lists(TREES, min_size=3, max_size=3))
    found: list[str | bytes] = [text, dump(strange[0])]
    found.append(draw(st.binary(max_size=60) | st.text(ALPHABET, max_size=60)))
    for value in strange:
        key, section = draw(st.sampled_from(KEYS)), draw(st.sampled_from(SECTIONS))
        found.append(dump({**base, key: value}))
        found.append(dump({**base, section: {**base.get(section, {}), key: value}}))
        found.append(dump({**base, key: {draw(st.sampled_from(KEYS)): value}}))
        found.append(dump({**base, "nodes": {f"{base['name']}-cp1": {key: value}}}))
    for _ in range(BATCH - len(found)):
        at, mark = draw(st.integers(0, len(text))), draw(st.sampled_from(MARKS))
        found.append(text[:at] + mark + text[at + len(mark) % 3 :])
    return found
