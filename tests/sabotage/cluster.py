"""How to break the cluster as a whole: exactly one thing a row."""

from __future__ import annotations

import json
from typing import Any

from tests.sabotage.nodes import ADMIN, until_told
from tests.sabotage.row import Sabotage

FILE, SETTINGS = "test_cluster.py", "test_settings.py"
# Of a name that can be looked up, and of nobody that answers.
NOBODY = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v1.sabotage.example.com"},
    "spec": {
        "group": "sabotage.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "sabotage", "namespace": "default"},
    },
}
# It cannot renew its Lease, is not killed for that, and nobody asks whether it is ready.
HOLD_THE_CONTROLLER_MANAGER = "pkill -STOP -x kube-controller; sleep 45"
# A learner has no vote: etcd works on, with a member that nobody asked for and that never starts.
ADD_A_MEMBER = """
cd /etc/kubernetes/pki/etcd || exit
curl --silent --show-error --fail --cacert ca.crt \\
    --cert healthcheck-client.crt --key healthcheck-client.key \\
    --data '{"peerURLs": ["https://192.0.2.1:2380"], "isLearner": true}' \\
    https://127.0.0.1:2379/v3/cluster/member/add
"""
# Without a label that says it runs Linux, kube-proxy's DaemonSet wants no pod on it.
PHANTOM = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "phantom"}}
# A node that is not Ready has no Ready pods, until its kubelet tells again which of them are.
NO_NETWORK = f"""
mv /etc/cni/net.d/*.conflist /root/
{until_told('.status.conditions[?(@.type=="Ready")].status', "False")}
sleep 40
"""
# A node counts as Ready for 50 seconds without a heartbeat.
SILENCE = "sleep 32"
NEVER_READY = {"spec": {"template": {"spec": {"readinessGates": [{"conditionType": "sabotage/never"}]}}}}
KILL_THE_PROXY = "pkill -KILL -x kube-proxy; sleep 30"
UNPLACEABLE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sabotage", "namespace": "default"},
    "spec": {
        "nodeSelector": {"sabotage": "nowhere"},
        "priorityClassName": "system-cluster-critical",
        "containers": [{"name": "sabotage", "image": "registry.k8s.io/pause"}],
    },
}
# It comes after the lab's own, so that containerd goes on with that one.
SECOND_NETWORK = """
cat >/etc/cni/net.d/99-sabotage.conflist <<'CONFLIST'
{"cniVersion": "1.0.0", "name": "sabotage", "plugins": [{"type": "ptp", "ipam": {"type": "dhcp"}}]}
CONFLIST
"""
# The kubelet starts it anew from a manifest that has changed.
OTHER_ARGUMENT = f"""
sed -i s/--v=1/--v=0/ /etc/kubernetes/manifests/kube-scheduler.yaml
turns=0
until {ADMIN} -n kube-system get pods -l component=kube-scheduler -o yaml | grep -q -e --v=0; do
    turns=$((turns + 1))
    if [ $turns -ge 90 ]; then echo "the kubelet did not start it anew" >&2; exit 1; fi
    sleep 2
done
"""
# It answers again once its port is open.
OTHER_DOMAIN = """
sed -i 's/^clusterDomain: .*/clusterDomain: sabotage.test/' /var/lib/kubelet/config.yaml
systemctl restart kubelet
until curl --silent --insecure --output /dev/null https://127.0.0.1:10250/; do sleep 1; done
"""
HOLD_THE_PROXY = "pkill -STOP -x kube-proxy"
PLANE = "node-role.kubernetes.io/control-plane"
WORKERS = f"--selector=!{PLANE}"


def no_heartbeats() -> tuple[dict[str, Any], ...]:
    """Return the objects that make the API server refuse every kubelet's Lease."""
    api, metadata = "admissionregistration.k8s.io/v1", {"name": "sabotage"}
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["leases"],
    }
    expression = 'object.metadata.namespace != "kube-node-lease"'
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": "sabotage"}],
    }
    binding = {"policyName": "sabotage", "validationActions": ["Deny"]}
    return (
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": binding,
        },
    )


_NETWORK = f"{FILE}::test_the_pod_network_is_the_one_asked_for_and_no_other"

ROWS: tuple[Sabotage, ...] = (
    Sabotage(f"{FILE}::test_the_api_server_is_ready_and_serves_every_api", objects=(NOBODY,)),
    Sabotage(
        f"{FILE}::test_the_scheduler_and_the_controller_manager_renew_their_leases",
        node="cp1",
        script=HOLD_THE_CONTROLLER_MANAGER,
    ),
    Sabotage(f"{FILE}::test_etcd_is_healthy_with_all_its_members", node="cp1", script=ADD_A_MEMBER),
    Sabotage(f"{FILE}::test_the_cluster_has_the_nodes_of_lab_yaml_and_no_others", objects=(PHANTOM,)),
    Sabotage(
        f"{FILE}::test_every_node_has_its_role",
        kubectl=(("label", "nodes", WORKERS, "node-role.kubernetes.io/control-plane="),),
    ),
    # The pod as the API shows it: the kubelet goes by its own file, and runs on what it runs.
    Sabotage(
        f"{FILE}::test_the_control_plane_has_the_requested_version",
        kubectl=(
            (
                "set",
                "image",
                "pods",
                "--namespace=kube-system",
                "--selector=component=kube-scheduler",
                "kube-scheduler=registry.k8s.io/kube-scheduler:v1.0.0",
            ),
        ),
    ),
    Sabotage(
        f"{FILE}::test_every_node_has_its_labels_and_taints",
        kubectl=(("taint", "nodes", f"--selector={PLANE}", f"{PLANE}:NoSchedule-"),),
        also=("test_workloads.py::test_a_scaled_deployment_spreads_over_the_workers",),
    ),
    Sabotage(f"{FILE}::test_every_node_is_ready", node="w1", script=NO_NETWORK, also=(_NETWORK,)),
    Sabotage(
        f"{FILE}::test_every_kubelet_has_reported_recently",
        node="cp1",
        objects=no_heartbeats(),
        script=SILENCE,
    ),
    Sabotage(
        f"{FILE}::test_everything_in_kube_system_is_ready",
        node="cp1",
        kubectl=(
            ("patch", "deployment", "coredns", "--namespace=kube-system", "--patch", json.dumps(NEVER_READY)),
        ),
        script="sleep 30",
    ),
    Sabotage(
        f"{FILE}::test_no_container_of_kube_system_has_restarted_since_the_last_step",
        node="w1",
        script=KILL_THE_PROXY,
    ),
    Sabotage(f"{FILE}::test_what_the_cluster_lives_by_in_other_namespaces_is_ready", objects=(UNPLACEABLE,)),
    Sabotage(_NETWORK, node="w1", script=SECOND_NETWORK),
    Sabotage(
        f"{SETTINGS}::test_the_control_plane_runs_with_the_arguments_asked_for",
        node="cp1",
        script=OTHER_ARGUMENT,
    ),
    Sabotage(
        f"{SETTINGS}::test_the_kubelet_runs_with_the_configuration_asked_for", node="w1", script=OTHER_DOMAIN
    ),
    Sabotage(f"{SETTINGS}::test_kube_proxy_runs_in_the_mode_asked_for", node="w1", script=HOLD_THE_PROXY),
)
