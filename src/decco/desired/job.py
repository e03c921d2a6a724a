"""The Job of an App that runs to completion; ``runs.py`` decides whether there is one, and whether it is suspended."""

from __future__ import annotations

import copy

from decco.desired import names
from decco.desired.model import AppInputs, Child
from decco.desired.pod import pod_annotations_record, pod_template
from decco.desired.runs import plan
from decco.objects import ANNOTATION_JOB_FIELDS, ANNOTATION_RESUMED, ANNOTATION_RUN, ANNOTATION_SUSPEND, JOBS, Obj

ADMITTED = ("activeDeadlineSeconds", "parallelism", "ttlSecondsAfterFinished")
"""Fields that a policy of the cluster may set on Jobs. decco records which of them are its own, to take them back."""


def job(inputs: AppInputs, pod: Obj) -> Child | None:
    """None if its run is over and it was cleaned up."""
    fields: Obj = copy.deepcopy(inputs.spec.job or {})
    suspend = fields.pop("suspend", None) is True or inputs.spec.suspend
    run = plan(inputs.run_digest, inputs.run, inputs.job, suspend=suspend)
    if run is None:
        return None
    if inputs.spec.job_backoff_limit is not None:
        fields["backoffLimit"] = inputs.spec.job_backoff_limit
    spec: Obj = {**fields, "template": pod_template(inputs, pod)}
    # A simulation shows a new Job as it runs, once its run is recorded.
    starts = inputs.simulated and run.suspended and not run.resumed and not suspend
    if (run.suspended and not starts) or inputs.spec.suspend:
        spec["suspend"] = True
    annotations: dict[str, str | None] = {ANNOTATION_RUN: inputs.run_digest}
    if run.resumed or starts:
        annotations[ANNOTATION_RESUMED] = "true"
    if suspend:
        annotations[ANNOTATION_SUSPEND] = "true"
    own = ",".join(name for name in ADMITTED if name in fields)
    if own:
        annotations[ANNOTATION_JOB_FIELDS] = own
    annotations |= pod_annotations_record(inputs)
    return names.child(JOBS, names.app_meta(inputs, inputs.name, annotations), spec=spec)
