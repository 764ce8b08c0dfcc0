"""A worker is drained, and what ran there runs elsewhere. Afterwards the lab is as if nothing had been."""

import pytest

TAINT = "node-role.kubernetes.io/control-plane:NoSchedule"


# After the test, passed or failed, all machines go back to the snapshot that `kubelab up` took when all was
# well: disks, memory, etcd. So the test may do anything to the lab, and tidies up nothing.
@pytest.mark.restores("ready")
@pytest.mark.changes
def test_the_pod_of_a_drained_worker_moves(deploy, kubectl, control_plane, workers):
    if not workers:
        pytest.skip("the lab has no workers")
    web = deploy("web", port=8080)
    drained = web.pods()[0]["spec"]["nodeName"]

    # In a lab with one worker only the control plane is left, which takes no ordinary pods by itself.
    kubectl.text("taint", "node", control_plane.name, f"{TAINT}-")
    # The selector keeps this short; without it, all other pods of the node move as well.
    kubectl.text("drain", drained, "--ignore-daemonsets", "--pod-selector=app=web", timeout=60)

    def runs_elsewhere(answer):
        pod = answer["items"][0]
        return pod["spec"]["nodeName"] != drained and pod["status"]["containerStatuses"][0]["ready"]

    # Asks `kubectl get` until the function says yes. What is not there yet is waited for: the pod, its node,
    # its state. Timeouts are seconds at full speed: an emulated lab gets more by itself.
    pods = ("pods", "-n", web.namespace, "-l", "app=web")
    kubectl.wait_for(*pods, until=runs_elsewhere, timeout=60, what=f"the pod on another node than {drained}")
