"""A change goes wrong, and a snapshot that was taken just before undoes all of it."""

import pytest

NAME = "before-the-change"
SETTINGS = {"colour": "blue"}


@pytest.mark.changes
def test_a_change_that_went_wrong_is_undone(kubectl, namespace, nodes, lab_snapshot):
    # `apply` takes YAML text, an object, or a list of objects.
    metadata = {"name": "settings", "namespace": namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": SETTINGS})
    node = nodes[-1]

    # One point in time for all machines: whatever is changed from here on comes back.
    lab_snapshot.save(NAME, note="taken by test_undo.py")
    try:
        kubectl.delete("configmap", "settings", "-n", namespace)
        node.check_output("systemctl stop kubelet")

        # Returns once clocks, certificates and pods are well again. Connections are made anew by themselves,
        # so the same fixtures go on; only what the test noted before may be out of date.
        lab_snapshot.restore(NAME)
    finally:
        lab_snapshot.delete(NAME)

    assert kubectl("get", "configmap", "settings", "-n", namespace)["data"] == SETTINGS
    assert node.service("kubelet").is_running
