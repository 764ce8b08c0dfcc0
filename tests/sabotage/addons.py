"""How to break an add-on: exactly one thing a row."""

from __future__ import annotations

from tests.sabotage.row import Sabotage

FILE = "test_addons.py"

ROWS: tuple[Sabotage, ...] = (
    # There is no address left to give.
    Sabotage(
        "test_services.py::test_a_load_balancer_gives_an_address_that_answers_the_host",
        kubectl=(("delete", "ipaddresspools", "--all", "--namespace=metallb-system"),),
    ),
    # What makes volumes hears of no claim any more.
    Sabotage(
        f"{FILE}::test_a_claim_gets_a_volume_whose_data_outlives_its_pod",
        kubectl=(("delete", "clusterrolebinding", "kubelab:storage"),),
    ),
)
