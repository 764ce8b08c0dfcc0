"""The settings of the nodes themselves, compared by asking them: proxy, time zone, resolvers, scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import Cancelled, LabError, in_one_line
from provision.lab.answers import answer_to
from provision.lab.context import Context
from provision.lab.differences import Comparison, Difference
from provision.lab.reality import ANSWER_SECONDS
from provision.node import proxy, registries, tasks, time_zone
from provision.node.files import File, same_files_script
from provision.node.resolvers import RESOLV_CONF, resolv_conf
from provision.steps.nodes import hosts_files, proxy_exempt

PROXY, MIRRORS, INSECURE, DNS = "proxy", "registryMirrors", "insecureRegistries", "dns"
ZONE = "timeZone"
PLANES, WORKERS = "controlPlanes.provision", "workers.provision"
DIFFERS = "differs: "
OFF = "no machine runs"


@dataclass(frozen=True)
class Setting:
    """A key of lab.yaml, what it says in words, and the script for a node that fails where it has another."""

    key: str
    file: str
    script: Callable[[Node], str]


def compare_settings(found: Comparison, ctx: Context, nodes: Sequence[Node]) -> None:
    """Ask `nodes`, which run, whether they are set as lab.yaml says, each in one round trip."""
    asked = _settings(ctx)

    def ask(node: Node) -> str:
        script = "".join(_or_tell(each, node) for each in asked)
        deadline = ctx.scaled(ANSWER_SECONDS)
        return ctx.connect(node).run(script, deadline=deadline, what="look for the settings").stdout

    try:
        answers = on_all(nodes, ask, ctx.cancel)
    except Cancelled:
        raise
    except LabError as error:
        found.unknown.update(dict.fromkeys([each.key for each in asked], in_one_line(error)))
        return
    if not nodes:
        found.unknown.update(dict.fromkeys([each.key for each in asked], OFF))
    _tell_own(found, ctx, answers)
    for each in asked:
        others = tuple(name for name, said in answers.items() if f"{DIFFERS}{each.key}" in said.splitlines())
        if others:
            refused = answer_to(each.key) == "refused"
            found.differences.append(Difference(each.key, "another", each.file, refused, others))


def _or_tell(setting: Setting, node: Node) -> str:
    """Return a script that prints the key where the node has another value."""
    return f"sh -eu <<'SETTING' || echo '{DIFFERS}{setting.key}'\n{setting.script(node)}\nSETTING\n"


def _settings(ctx: Context) -> list[Setting]:
    """Return all of them; of the proxy no value is shown, it may be a secret."""
    config = ctx.config
    through, hosts = proxy.proxy_files(config.proxy, proxy_exempt(ctx)), hosts_files(ctx)
    asked = {RESOLV_CONF: File(resolv_conf(config, ctx.inventory))}
    return [
        Setting(ZONE, config.time_zone, lambda _: time_zone.probe_script(config.time_zone)),
        Setting(
            PROXY,
            "one" if config.proxy else "none",
            lambda _: f"{same_files_script(through)}\n{proxy.probe_script(through)}",
        ),
        Setting(
            # One file has both, and a lab.yaml that names neither has none.
            INSECURE if config.insecure_registries and not config.registry_mirrors else MIRRORS,
            ", ".join(map(registries.registry_of, hosts)) or "none",
            lambda _: registries.probe_script(hosts),
        ),
        Setting(DNS, ", ".join(map(str, config.dns)) or "none", lambda _: same_files_script(asked)),
        Setting(PLANES, "its own", lambda node: _brought(node, of_planes=True)),
        Setting(WORKERS, "its own", lambda node: _brought(node, of_planes=False)),
    ]


def _brought(node: Node, *, of_planes: bool) -> str:
    """Return a script that fails where a node of that pool has not all its scripts and files, or others."""
    return tasks.probe_script(tasks.digests(node)) if node.is_control_plane == of_planes else "true"


def _tell_own(found: Comparison, ctx: Context, answers: Mapping[str, str]) -> None:
    """Note which files of the user's own stand where lab.yaml asks for others: they are not compared."""
    own = [
        f"{name}: {path}"
        for name, said in answers.items()
        for path in registries.own_files(said, hosts_files(ctx))
    ]
    if own:
        found.unknown[MIRRORS] = f"your own counts: {', '.join(own)}"
