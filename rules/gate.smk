# What a human is asked to approve. No rule writes approvals/: that file is the human's answer.

SETTLED_NUMBERS = "|".join(map(str, sorted(SETTLED))) or "none"


checkpoint plan:
    input:
        unpack(made_from("plan")),
        config=CONFIG,
    output:
        record=made_by("plan")["record"],
        plan=report(
            made_by("plan")["plan"],
            caption="captions/plan.rst",
            category="Plans",
            labels={"generation": "{prefix}g{n}", "file": "plan.json"},
        ),
    log:
        "logs/{prefix}g{n}/plan.log",
    wildcard_constraints:
        prefix=rf"(?!campaigns/|g(?:{SETTLED_NUMBERS})/)(?:[\w-]+/)*",
        n=CHILD,
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        change=option("parent-change", "change"),
        previous=option("previous-plan", "previous_plan"),
        control=option("control-curriculum", "control_curriculum"),
        control_change=option("control-parent-change", "control_change"),
    shell:
        "python -m lamarck.gate --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} "
        "--weights {input.weights:q} {params.change} --curriculum {input.curriculum:q} {params.previous} "
        "{params.control} {params.control_change} --output {output.plan:q} --record {output.record:q} 2>&1 | tee {log:q}"


# Snakemake builds each job again that hangs on a checkpoint's output: of 50 generations that was most of a dry run. What
# is settled needs no checkpoint.
use rule plan as settled_plan with:
    wildcard_constraints:
        prefix="(?:)",  # none: Snakemake takes an empty pattern for any
        n=SETTLED_NUMBERS,


# A campaign's plans are none, too: its approval names what may follow before any of them is there.
use rule plan as member_plan with:
    output:
        record=made_by("plan")["record"],
        plan=made_by("plan")["plan"],
    wildcard_constraints:
        prefix=r"campaigns/(?:[\w-]+/)+",
    priority: furthest_first("plan")


# Of a child of two parents, which has no curriculum. In a campaign it is none, either.
checkpoint cross_plan:
    input:
        unpack(made_from("cross_plan")),
        config=CONFIG,
    output:
        record="results/{crossed}/plan.record.json",
        plan=report(
            "results/{crossed}/plan.json",
            caption="captions/plan.rst",
            category="Plans",
            labels={"generation": "{crossed}", "file": "plan.json"},
        ),
    log:
        "logs/{crossed}/plan.log",
    wildcard_constraints:
        crossed=rf"(?!campaigns/)(?:{CROSSED})",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.gate.crossing --config {input.config:q} --generation {wildcards.crossed} "
        "--weights {input.weights:q} --change {input.change:q} --parent-plan {input.previous_plan:q} "
        "--other-weights {input.other_weights:q} --other-change {input.other_change:q} "
        "--other-parent-plan {input.other_plan:q} "
        "--output {output.plan:q} --record {output.record:q} 2>&1 | tee {log:q}"


use rule cross_plan as member_cross_plan with:
    output:
        record="results/{crossed}/plan.record.json",
        plan="results/{crossed}/plan.json",
    wildcard_constraints:
        crossed=rf"(?=campaigns/)(?:{CROSSED})",
    priority: furthest_first("plan")


ruleorder: cross_plan > plan
ruleorder: member_cross_plan > member_plan
