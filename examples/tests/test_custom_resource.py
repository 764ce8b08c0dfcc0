"""The custom resource of an operator: served, filled in with defaults, and checked by the API server."""

import pytest

from provision.errors import ToolFailed

pytestmark = pytest.mark.changes

# In your own tests: Path("path/to/crd.yaml").read_text()
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer, minimum: 1, default: 3}}}}
"""
WIDGET = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: blue, namespace: %s}, spec: {%s}}"


@pytest.fixture(scope="module", autouse=True)
def served(kubectl):
    kubectl.apply(CRD)
    # An error of kubectl counts as "not yet".
    kubectl.wait_for("widgets", "-A", until=lambda answer: "items" in answer, timeout=30)
    yield
    kubectl.delete("crd", "widgets.example.com")


def test_a_widget_without_a_size_gets_the_default(kubectl, namespace):
    kubectl.apply(WIDGET % (namespace, ""))
    assert kubectl("get", "widget", "blue", "-n", namespace)["spec"] == {"size": 3}


def test_a_widget_that_is_too_small_is_refused(kubectl, namespace):
    with pytest.raises(ToolFailed) as refused:
        kubectl.apply(WIDGET % (namespace, "size: 0"))
    # The error has what kubectl said.
    assert "spec.size" in refused.value.details
