"""How to break what users do with a cluster: exactly one thing a row."""

from __future__ import annotations

from typing import Any

from tests.sabotage.row import Sabotage

Object = dict[str, Any]

ADMISSION = "admissionregistration.k8s.io/v1"
ON_W1 = 'request.name.endsWith("-w1")'
FORWARDED_FROM_PODS = 'iifname "cni0" oifname "eth0"'
# Room for a pod's own files, none for a line of its log. The kubelet removes what is of no pod that lives.
FULL_LOGS = """
pod=$(echo /var/log/pods/kube-system_kube-proxy-*)
mount -t tmpfs -o size=4k tmpfs /var/log/pods
mkdir "$pod"
head -c 4096 /dev/zero >"$pod/full"
"""
# Room for the folder of the volume, none for a file in it.
FULL_FOLDER = "mkdir -p /run/kubelab-verify; mount -t tmpfs -o nr_inodes=2 tmpfs /run/kubelab-verify"


def nft(hook: str, rule: str, kind: str = "filter", priority: str = "-300") -> str:
    """Return the script that adds one nftables rule of its own table."""
    return f"""nft -f - <<'RULES'
table ip sabotage {{
  chain {hook} {{
    type {kind} hook {hook} priority {priority}; policy accept;
    {rule}
  }}
}}
RULES
"""


def refused(resource: str, condition: str, operation: str = "CREATE") -> tuple[Object, ...]:
    """Return the objects that make the API server refuse what meets a CEL condition."""
    spec = {"validations": [{"expression": f"!({condition})", "message": "sabotage"}]}
    return _admission("Validating", resource, operation, spec, {"validationActions": ["Deny"]})


def changed(resource: str, condition: str, patch: str) -> tuple[Object, ...]:
    """Return the objects that make the API server apply a JSON patch (in CEL) to what is created."""
    spec = {
        "matchConditions": [{"name": "chosen", "expression": condition}],
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    return _admission("Mutating", resource, "CREATE", spec, {})


def _admission(
    policy: str, resource: str, operation: str, spec: Object, binding: Object
) -> tuple[Object, ...]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": [resource]}
    constraints = {"matchConstraints": {"resourceRules": [rule]}}
    kind, metadata = f"{policy}AdmissionPolicy", {"name": "sabotage"}
    return (
        {
            "apiVersion": ADMISSION,
            "kind": kind,
            "metadata": metadata,
            "spec": {"failurePolicy": "Fail", **constraints, **spec},
        },
        {
            "apiVersion": ADMISSION,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "spec": {"policyName": "sabotage", **binding},
        },
    )


def defined(plural: str, group: str, kind: str) -> Object:
    """Return a CustomResourceDefinition that nothing acts on."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": names, "scope": "Cluster", "versions": [version]},
    }


def without_controller(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the command that leaves a controller of kube-controller-manager without its rights."""
    return (("delete", "clusterrolebinding", f"system:controller:{name}-controller"),)


_STARTED = "test_workloads.py::test_a_deployment_gets_all_its_pods"
_SCALED = "test_workloads.py::test_a_scaled_deployment_spreads_over_the_workers"
_HEALED = "test_workloads.py::test_a_deleted_pod_comes_back"
_UPDATED = "test_workloads.py::test_a_rolling_update_fails_no_request"
_POD_NAMES = "test_dns.py::test_pod_names_resolve_on_every_node"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

ROWS: tuple[Sabotage, ...] = (
    Sabotage(_STARTED, kubectl=without_controller("deployment"), also=(_SCALED, _HEALED, _UPDATED)),
    Sabotage(
        _SCALED,
        kubectl=(("taint", "nodes", f"--selector={_CONTROL_PLANE}", f"{_CONTROL_PLANE}:NoSchedule-"),),
        also=("test_cluster.py::test_every_node_has_its_labels_and_taints",),
    ),
    Sabotage(
        _HEALED,
        objects=refused("pods", 'request.userInfo.username == "kubernetes-admin"', operation="DELETE"),
    ),
    Sabotage(
        _UPDATED,
        node="cp1",
        script=nft("forward", "tcp dport 8081 tcp flags syn numgen random mod 2 == 0 reject with tcp reset"),
    ),
    Sabotage("test_workloads.py::test_logs_can_be_read_on_every_node", node="w1", script=FULL_LOGS),
    Sabotage(
        "test_workloads.py::test_exec_runs_a_program_on_every_node",
        node="w1",
        objects=refused("pods/exec", f'object.command == ["hostname"] && {ON_W1}', operation="CONNECT"),
    ),
    Sabotage(
        "test_workloads.py::test_port_forward_reaches_a_pod_on_every_node",
        node="w1",
        objects=refused("pods/portforward", ON_W1, operation="CONNECT"),
    ),
    Sabotage(
        "test_services.py::test_cluster_ips_answer_on_every_node",
        node="w1",
        script=nft("output", "tcp dport 53 drop"),
    ),
    Sabotage(
        "test_services.py::test_a_cluster_ip_reaches_all_its_pods_from_every_node",
        node="w1",
        script=nft("prerouting", 'iifname "cni0" tcp dport 80 drop'),
    ),
    Sabotage(
        "test_services.py::test_a_node_port_answers_the_host_on_every_node",
        node="w1",
        script=nft("prerouting", "tcp dport 30000-32767 drop"),
    ),
    Sabotage(
        "test_dns.py::test_service_names_resolve_on_every_node",
        node="w1",
        script=nft("prerouting", 'iifname "cni0" udp dport 53 drop'),
        also=(_POD_NAMES,),
    ),
    # The name of a pod is longer than that of a Service.
    Sabotage(
        _POD_NAMES, node="w1", script=nft("prerouting", 'iifname "cni0" udp dport 53 udp length > 72 drop')
    ),
    Sabotage(
        "test_storage.py::test_an_empty_dir_is_shared_by_the_containers_of_a_pod",
        objects=changed(
            "pods",
            'object.metadata.?name.orValue("") == "volumes"',
            '[JSONPatch{op: "remove", path: "/spec/containers/1/volumeMounts/0"}]',
        ),
    ),
    Sabotage("test_storage.py::test_a_host_path_is_a_folder_of_the_node", node="w1", script=FULL_FOLDER),
    Sabotage(
        "test_storage.py::test_a_config_map_is_mounted",
        objects=refused("configmaps", 'object.metadata.?name.orValue("") == "settings"'),
    ),
    Sabotage(
        "test_storage.py::test_a_secret_is_mounted",
        objects=refused("secrets", 'object.metadata.?name.orValue("") == "password"'),
    ),
    Sabotage("test_jobs.py::test_a_job_runs_to_its_end", kubectl=without_controller("job")),
    Sabotage("test_jobs.py::test_a_cron_job_starts_a_job_on_time", kubectl=without_controller("cronjob")),
    Sabotage(
        "test_policy.py::test_a_network_policy_is_enforced",
        objects=(defined("ciliumnetworkpolicies", "cilium.io", "CiliumNetworkPolicy"),),
    ),
    Sabotage(
        "test_network.py::test_pods_reach_each_other_across_nodes_by_their_own_addresses",
        node="w1",
        script=nft("postrouting", 'oifname "eth0" tcp dport 8080 masquerade', "nat", "50"),
    ),
    Sabotage(
        "test_network.py::test_full_size_packets_pass_between_nodes",
        node="w1",
        script=nft("forward", f"{FORWARDED_FROM_PODS} icmp type echo-request ip length > 1400 drop"),
    ),
    Sabotage(
        "test_network.py::test_a_large_transfer_from_every_node_arrives_complete",
        node="w1",
        script=nft("forward", f"{FORWARDED_FROM_PODS} tcp sport 8080 ip length > 1400 drop"),
    ),
)
