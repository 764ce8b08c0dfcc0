"""How to break a node: exactly one thing a row."""

from __future__ import annotations

import shlex

from provision.node.registries import FOLDER, MARK
from tests.sabotage.row import Sabotage

# The public keys whose private halves come with every Vagrant.
WELL_KNOWN = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHz"
    "D8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8Hfd"
    "OV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbU"
    "vxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ==",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1YdxBpNlzxDqfJyw/QKow1F+wvG9hXGoqiysfJOn5Y",
)
# For a registry that no lab.yaml of a test names.
OTHER_REGISTRY = f"""
mkdir -p {FOLDER}/sabotage.invalid
echo {shlex.quote(MARK)} >{FOLDER}/sabotage.invalid/hosts.toml
"""
ADMIN = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
_SYSTEM, _RUNTIME, _ACCESS = "test_system.py", "test_runtime.py", "test_access.py"
_IDENTITY, _CERTIFICATES = "test_identity.py", "test_certificates.py"


def told_by_node(path: str) -> str:
    """Return a command that prints, on a worker, what its Node object has at a JSON path."""
    config = "--kubeconfig=/etc/kubernetes/kubelet.conf"
    return f"kubectl {config} get node \"$(cat /proc/sys/kernel/hostname)\" -o jsonpath='{{{path}}}'"


def until_told(path: str, text: str) -> str:
    """Return a script that waits, on a worker, until its Node object shows `text` at a JSON path."""
    return f"""
turns=0
until {told_by_node(path)} | grep -qF "{text}"; do
    turns=$((turns + 1))
    if [ $turns -ge 90 ]; then echo "the kubelet did not tell" >&2; exit 1; fi
    sleep 2
done
"""


def other_version(program: str, asked: str, told: str) -> str:
    """Return a script after which `program` says that it is of another patch, and its node tells so."""
    return f"""
version=$({asked})
patch=$(echo "${{version##*.}}" | tr 0123456789 1234567890)
other="${{version%.*}}.$patch"
LC_ALL=C sed -i "s/$version/$other/g" /usr/bin/{program}
systemctl restart {program}
{until_told(told, "$other")}
"""


def authorize(folder: str) -> str:
    """Return a script that lets the well-known keys in, by the authorized_keys in a folder."""
    lines = "\n".join(WELL_KNOWN)
    # What stands there already may end without a newline.
    return f"mkdir -p -m 700 {folder}\ncat >>{folder}/authorized_keys <<'KEYS'\n\n{lines}\nKEYS\n"


SWAP = """
dd if=/dev/zero of=/swapfile bs=1M count=16
chmod 600 /swapfile
mkswap /swapfile
swapon /swapfile
"""
# A disk cannot be plugged in from within: the kernel's list of them is covered.
DISK_OF_ANOTHER_SIZE = """
mount -t tmpfs sabotage /sys/block
mkdir /sys/block/vdz
echo kubelab-1 >/sys/block/vdz/serial
echo 1 >/sys/block/vdz/size
"""
# The kubelet would evict nothing for an hour, and says at once that there is too little.
PRESSURE = f"""
cat >>/var/lib/kubelet/config.yaml <<'CONFIG'
evictionSoft: {{memory.available: 99%}}
evictionSoftGracePeriod: {{memory.available: 1h}}
CONFIG
systemctl restart kubelet
{until_told('.status.conditions[?(@.type=="MemoryPressure")].status', "True")}
"""
NAME_OF_ANOTHER = "awk '$2 ~ /-cp1$/ {print $2}' /etc/hosts >/proc/sys/kernel/hostname"
ID_OF_ANOTHER = f"""
{ADMIN} get nodes --selector='!node-role.kubernetes.io/control-plane' \\
    -o jsonpath='{{.items[0].status.nodeInfo.machineID}}' >/etc/machine-id
"""
# On a device of its own: a second card with the same address would cut the node off.
MAC_OF_ANOTHER = """
other=$(awk '$2 ~ /-cp1$/ {print $1}' /etc/hosts)
mac=$(ip neighbour show "$other" | sed -n 's/.*lladdr \\([^ ]*\\).*/\\1/p')
ip link add sabotage type bridge
ip link set sabotage address "$mac"
ip address add "${other%.*}.250/32" dev sabotage
"""
OTHER_ADDRESS = f"""
mine=$(awk -v name="$(cat /proc/sys/kernel/hostname)" '$2 == name {{print $1}}' /etc/hosts)
ip address add "${{mine%.*}}.251/24" dev eth0
sed -i "s/--node-ip=$mine/--node-ip=${{mine%.*}}.251/" /var/lib/kubelet/kubeadm-flags.env
systemctl restart kubelet
{until_told('.status.addresses[?(@.type=="InternalIP")].address', "${mine%.*}.251")}
"""
FAST_CLOCK = 'systemctl stop lab-clock; date -s "@$(($(date +%s) + 300))"'
# A day is what a certificate must have left at least, and some seconds of it have passed then.
SHORT_CERTIFICATE = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=sabotage \\
    -keyout /root/sabotage.key -out /var/lib/kubelet/pki/kubelet.crt
sleep 10
"""
ETERNAL_TOKEN = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "bootstrap-token-sabota", "namespace": "kube-system"},
    "type": "bootstrap.kubernetes.io/token",
    "stringData": {
        "token-id": "sabota",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
    },
}

_SYSCTLS = f"{_SYSTEM}::test_the_sysctls_kubernetes_needs_are_set"
_AUTHORIZED = f"{_ACCESS}::test_no_user_has_authorized_the_well_known_vagrant_key"

ROWS: tuple[Sabotage, ...] = (
    Sabotage(
        f"{_SYSTEM}::test_the_kernel_modules_kubernetes_needs_are_loaded",
        node="w1",
        script="rmmod br_netfilter",
        also=(_SYSCTLS,),
    ),
    Sabotage(_SYSCTLS, node="w1", script="sysctl -w net.bridge.bridge-nf-call-ip6tables=0"),
    Sabotage(f"{_SYSTEM}::test_swap_is_off_and_stays_off", node="w1", script=SWAP),
    Sabotage(
        f"{_SYSTEM}::test_only_cgroups_of_version_2_are_mounted",
        node="w1",
        script="mkdir /run/sabotage; mount -t cgroup -o none,name=sabotage cgroup /run/sabotage",
    ),
    Sabotage(
        f"{_SYSTEM}::test_the_further_disks_of_lab_yaml_are_there", node="w1", script=DISK_OF_ANOTHER_SIZE
    ),
    Sabotage(f"{_SYSTEM}::test_no_node_is_short_of_disk_memory_or_process_ids", node="w1", script=PRESSURE),
    Sabotage(
        f"{_RUNTIME}::test_containerd_runs_and_starts_at_boot",
        node="w1",
        script="systemctl stop containerd",
        also=(f"{_RUNTIME}::test_every_image_of_the_bundle_is_there_and_pinned",),
    ),
    Sabotage(
        f"{_RUNTIME}::test_the_kubelet_runs_and_starts_at_boot", node="w1", script="systemctl stop kubelet"
    ),
    Sabotage(
        f"{_RUNTIME}::test_the_kubelet_has_the_requested_version",
        node="w1",
        script=other_version(
            "kubelet", "kubelet --version | cut -d' ' -f2", ".status.nodeInfo.kubeletVersion"
        ),
    ),
    Sabotage(
        f"{_RUNTIME}::test_containerd_has_the_same_version_on_all_nodes",
        node="w1",
        script=other_version(
            "containerd",
            # Its own --version says more than the node does.
            f"{told_by_node('.status.nodeInfo.containerRuntimeVersion')} | sed 's,.*//,,'",
            ".status.nodeInfo.containerRuntimeVersion",
        ),
    ),
    Sabotage(
        f"{_RUNTIME}::test_kubelet_and_containerd_have_the_same_cgroup_driver",
        node="w1",
        script="sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' /etc/containerd/config.toml",
    ),
    Sabotage(
        f"{_RUNTIME}::test_every_image_of_the_bundle_is_there_and_pinned",
        node="w1",
        script="ctr -n k8s.io images ls -q | grep busybox: | xargs ctr -n k8s.io images rm",
    ),
    Sabotage(f"{_RUNTIME}::test_the_registries_are_those_of_lab_yaml", node="w1", script=OTHER_REGISTRY),
    Sabotage(
        f"{_SYSTEM}::test_the_resolvers_are_those_of_lab_yaml",
        node="w1",
        script="echo nameserver 192.0.2.1 >/etc/resolv.conf",
    ),
    Sabotage(
        f"{_SYSTEM}::test_the_time_zone_is_that_of_lab_yaml",
        node="w1",
        script="ln -sfn /usr/share/zoneinfo/Asia/Seoul /etc/localtime",
    ),
    Sabotage(
        f"{_SYSTEM}::test_the_packages_of_lab_yaml_are_installed", node="w1", script="dpkg --purge tree"
    ),
    Sabotage(
        f"{_SYSTEM}::test_the_scripts_and_files_of_lab_yaml_were_brought",
        node="w1",
        script="mkdir -p /var/lib/kubelab/provision; echo done >/var/lib/kubelab/provision/other",
    ),
    Sabotage(f"{_IDENTITY}::test_every_node_has_its_own_hostname", node="w1", script=NAME_OF_ANOTHER),
    Sabotage(f"{_IDENTITY}::test_every_node_has_its_own_machine_id", node="cp1", script=ID_OF_ANOTHER),
    Sabotage(f"{_IDENTITY}::test_every_node_has_its_own_mac_address", node="w1", script=MAC_OF_ANOTHER),
    Sabotage(f"{_IDENTITY}::test_every_node_has_its_own_internal_ip", node="w1", script=OTHER_ADDRESS),
    Sabotage(
        "test_clock.py::test_the_clock_is_within_a_second_of_the_control_plane",
        node="w1",
        script=FAST_CLOCK,
    ),
    Sabotage(
        f"{_CERTIFICATES}::test_every_certificate_is_valid_and_has_days_left",
        node="w1",
        script=SHORT_CERTIFICATE,
    ),
    Sabotage(f"{_CERTIFICATES}::test_every_bootstrap_token_expires", objects=(ETERNAL_TOKEN,)),
    Sabotage(_AUTHORIZED, node="w1", script=authorize("/root/.ssh")),
    Sabotage(
        f"{_ACCESS}::test_a_login_with_the_well_known_vagrant_key_is_refused",
        node="w1",
        script=authorize("/home/vagrant/.ssh"),
        also=(_AUTHORIZED,),
    ),
)
