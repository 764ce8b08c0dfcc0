"""Every node: its name, its files, its clock, containerd at work, and the bundle's images in it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping

from provision.cni.leftovers import probe_script as no_leftovers_script
from provision.cni.leftovers import removal_script
from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import Result
from provision.host.proxies import LOOPBACK
from provision.kubeadm import patches
from provision.kubeadm.runtime import wait_for_runtime
from provision.lab.addons import image_files
from provision.lab.context import Context
from provision.node import images, registries
from provision.node.clock import set_clock
from provision.node.emulation import apply_script, emulation_files
from provision.node.files import File, same_files_script, unpack_script
from provision.node.proxy import after_script, before_script, proxy_files
from provision.node.proxy import probe_script as proxy_is_set_script
from provision.node.resolvers import RESOLV_CONF, resolv_conf
from provision.node.second_card import card_files, reload_script
from provision.node.speed import MEASURE, WORTH_TELLING
from provision.node.time_zone import link_script, zone_files
from provision.node.time_zone import probe_script as in_zone_script

# How long one image may take to be unpacked, on fast machines.
IMPORT_SECONDS = 120.0


class NodesStep:
    """Nodes prepared for kubeadm, all or those called `names`, at once and each in one round trip."""

    id = "nodes"
    title = "Nodes prepared"

    def __init__(self, *names: str) -> None:
        self.names = names

    def estimate(self, ctx: Context) -> float | None:
        return 1.0 * ctx.acceleration.factor

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(120)

    def is_done(self, ctx: Context) -> bool:
        def probe(node: Node) -> Result:
            script = f"{MEASURE}{probe_script(ctx, node)}"
            found = ctx.connect(node).run(script, deadline=ctx.scaled(30), check=False, what="probe the node")
            ctx.pace.note(found.stdout, ctx.acceleration.factor)
            return found

        before = ctx.pace.slowness
        answers = on_all(ctx.inventory.chosen(self.names), probe, ctx.cancel)
        done = all(found.ok for found in answers.values())
        if done:
            _tell_own(ctx, answers)
        if ctx.pace.slowness >= WORTH_TELLING > before:
            ctx.report.info(
                f"the machines are {ctx.pace.slowness:.1f} times slower than usual:"
                " each may take that much longer before it counts as failed"
            )
        return done

    def apply(self, ctx: Context) -> None:
        def prepare(node: Node) -> None:
            said = ctx.connect(node).run(
                prepare_script(ctx, node), deadline=ctx.scaled(60), what="prepare the node"
            )
            _bring_images(ctx, node, said.stdout.splitlines())
            with contextlib.closing(ctx.connect(node).shell()) as shell:
                set_clock(shell, node.name, deadline=ctx.scaled(20))

        on_all(ctx.inventory.chosen(self.names), prepare, ctx.cancel, ctx.report)

    def plan(self, ctx: Context) -> str:
        return (
            "write hosts, resolvers, registries, time zone, CNI and routes on every node;"
            " bring what images are missing"
        )


def node_files(ctx: Context, node: Node) -> dict[str, File]:
    """Return every file kubelab puts on a node before kubeadm runs."""
    hosts = "".join(f"{other.ip} {other.name}\n" for other in ctx.inventory.nodes)
    files = {
        "/etc/hostname": File(f"{node.name}\n"),
        "/etc/hosts": File(f"127.0.0.1 localhost\n{hosts}"),
        RESOLV_CONF: File(resolv_conf(ctx.config, ctx.inventory)),
    }
    files |= {path: File(text) for path, text in ctx.cni.node_files(ctx.config, ctx.inventory, node).items()}
    files |= emulation_files(ctx.acceleration)
    files |= proxy_files(ctx.config.proxy, proxy_exempt(ctx))
    files |= card_files(ctx.config.network.bridge)
    files |= zone_files(ctx.config.time_zone)
    return files | patches.patch_files(ctx.config, node, ctx.acceleration)


def probe_script(ctx: Context, node: Node) -> str:
    """Return a script that fails unless the node is as `prepare_script` leaves it."""
    files = node_files(ctx, node)
    return f"""
{same_files_script(files)}
{in_zone_script(ctx.config.time_zone)}
test "$(cat /proc/sys/kernel/hostname)" = {node.name}
test "$(wc -l < /proc/swaps)" -eq 1
test -S /run/containerd/containerd.sock
{no_leftovers_script(ctx.cni.name)}
{_network_active(ctx)}
{images.probe_script(wanted_images(ctx))}
{patches.probe_script(files)}
{proxy_is_set_script(files)}
{registries.probe_script(hosts_files(ctx))}
"""


def prepare_script(ctx: Context, node: Node) -> str:
    """Return the script that prepares a node and prints which images it lacks; it may run again."""
    files = node_files(ctx, node)
    return f"""
{link_script(ctx.config.time_zone)}
{removal_script(ctx.cni.name)}
{before_script(files)}
{patches.forget_script()}
{unpack_script(files)}
{after_script()}
{registries.prepare_script(hosts_files(ctx))}
{reload_script(ctx.config.network.bridge)}
{apply_script()}
echo {node.name} > /proc/sys/kernel/hostname
swapoff -a
sed -i '/[[:space:]]swap[[:space:]]/d' /etc/fstab
systemctl --quiet mask swap.target
modprobe -a overlay br_netfilter
sysctl --quiet -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
if [ -f /etc/kubelab/network.sh ]; then systemctl restart lab-network; fi
{wait_for_runtime()}
{images.pin_script(wanted_images(ctx))}
"""


def hosts_files(ctx: Context) -> dict[str, File]:
    """Return the files of containerd's registries that lab.yaml asks for, where the user has none."""
    return registries.hosts_files(ctx.config.registry_mirrors, ctx.config.insecure_registries)


def wanted_images(ctx: Context) -> list[str]:
    """Return the names of the images that nodes keep: those of the bundle, and of the add-ons."""
    return sorted(image_files(ctx))


def _tell_own(ctx: Context, answers: Mapping[str, Result]) -> None:
    """Tell which files of the user's own stand where lab.yaml asks for others."""
    for name, found in answers.items():
        for path in registries.own_files(found.stdout, hosts_files(ctx)):
            ctx.report.info(
                f"{name}: {path} is your own, and counts instead of lab.yaml; without it `up` writes one"
            )


def _bring_images(ctx: Context, node: Node, missing: Collection[str]) -> None:
    """Put those images onto a node that it said are `missing`."""
    lacked = {ref: archive for ref, archive in image_files(ctx).items() if ref in missing}
    if lacked:
        ctx.report.info(f"{node.name}: images are missing there, and are brought: {', '.join(lacked)}")
    for ref, archive in lacked.items():
        images.bring(ctx.connect(node), ref, archive, deadline=ctx.scaled(IMPORT_SECONDS))


def proxy_exempt(ctx: Context) -> list[object]:
    """Return what nodes reach without a proxy: themselves, the lab's ranges and its names."""
    names = [node.name for node in ctx.inventory.nodes]
    domains = [".svc", f".{ctx.config.kubeadm.cluster_domain}"]
    return [*LOOPBACK, *ctx.config.network.ranges().values(), *domains, *names]


def _network_active(ctx: Context) -> str:
    return "systemctl --quiet is-active lab-network" if ctx.cni.name == "bridge" else "true"
