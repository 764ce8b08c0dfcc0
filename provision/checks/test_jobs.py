"""A Job, and a CronJob; the walk-through created both at its start, so that the CronJob is due by now."""

from __future__ import annotations

from typing import Any

import pytest

from provision.checks.walk import LEAST_SECONDS, Walk
from provision.checks.walk_objects import CRON_JOB, JOB

pytestmark = pytest.mark.changes

MANAGER = "kubelab kubectl -- logs -n kube-system -l component=kube-controller-manager"
MINUTE = 60.0


@pytest.mark.look(MANAGER)
def test_a_job_runs_to_its_end(walk: Walk) -> None:
    walk.wait_for(
        "job",
        JOB,
        until=lambda job: job["status"]["succeeded"] == 1,
        what="a Job that succeeded",
        timeout=walk.remaining(),
    )


@pytest.mark.look(MANAGER)
def test_a_cron_job_starts_a_job_on_time(walk: Walk) -> None:
    def started(answer: dict[str, Any]) -> bool:
        owners = [owner for job in answer["items"] for owner in job["metadata"].get("ownerReferences", [])]
        return any(owner["kind"] == "CronJob" and owner["name"] == CRON_JOB for owner in owners)

    # A minute lasts as long on a slow machine, so it is not scaled.
    timeout = MINUTE / walk.lab.scaled(1) + LEAST_SECONDS
    walk.wait_for("jobs", until=started, what="a Job of the CronJob", timeout=timeout)
    cron_job = walk.kubectl("get", "cronjob", CRON_JOB, "-n", walk.namespace)
    assert cron_job["status"].get("lastScheduleTime"), "the CronJob has no lastScheduleTime"
