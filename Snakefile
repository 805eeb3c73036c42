# The map of the house: one lineage, from the founder to the next gate that only a human opens.
#
#   snakemake                        advance to the next gate
#   snakemake --profile runpod       the same on rented GPUs
from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"
include: "rules/founder.smk"
include: "rules/curriculum.smk"
include: "rules/gate.smk"
include: "rules/train.smk"
include: "rules/eval.smk"
include: "rules/hub.smk"
include: "rules/campaign.smk"
include: "rules/report.smk"


# Seconds of work on files that are here: no machine is rented for them.
localrules:
    all,
    plan,
    settled_plan,
    member_plan,
    cross_plan,
    member_cross_plan,
    cross,
    dataset_card,
    campaign_result,
    lineage,
    publish,
    publish_scores,


rule all:
    default_target: True
    input:
        CHECKS,
        SCORES,
        EXAMS,
        PLANS,
        DATASET_CARDS,
        PUBLISHED,
        "results/lineage.json",


onsuccess:
    finish_run()
