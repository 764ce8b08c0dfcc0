"""A Deployment is rolled out, and reached from a pod on another node."""

import pytest


# A mark to choose by: `kubelab verify --tests DIR --skip changes` leaves the cluster as it is.
@pytest.mark.changes
def test_a_pod_is_reached_from_another_node(deploy, kubectl, nodes):
    if len(nodes) == 1:
        pytest.skip("the lab has one node only")

    # Without `image` it is the lab's own busybox, which every node has: nothing is pulled. With a `port` it
    # serves the name of its pod. `node` binds the pods; without it the scheduler decides.
    web = deploy("web", replicas=2, port=8080, node=nodes[-1])
    # Deployments are waited for, and all is in a namespace of this test alone, deleted after it.
    client = deploy("client", node=nodes[0])

    (caller,) = client.pods()
    for pod in web.pods():
        url = f"http://{pod['status']['podIP']}:8080/"
        answer = kubectl.exec(
            client.namespace, caller["metadata"]["name"], "wget", "-q", "-T", "20", "-O", "-", url
        )
        assert answer.strip() == pod["metadata"]["name"]
