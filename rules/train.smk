# The child is made: by the rules behind the gate. The trainer checks the approval again, over everything it reads.


rule train:
    input:
        unpack(train_inputs_of),
        config=CONFIG,
    output:
        child=report(
            directory("results/{prefix}g{n}/{form}"),
            patterns=["{record,training}.json"],
            caption="captions/training.rst",
            category="Training",
            labels={"generation": "{prefix}g{n}", "file": "{record}.json"},
        ),
    log:
        "logs/{prefix}g{n}/train.{form}.log",
    benchmark:
        "logs/{prefix}g{n}/train.{form}.tsv"
    wildcard_constraints:
        # The founder's weights are no child.
        n=CHILD,
        form="|".join(FORMS),
    priority: furthest_first("train")
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads * CONF.machines.train.count
    params:
        **rented("train"),
        change=option("parent-change", "change"),
        previous=option("previous-plan", "previous_plan"),
        control=option("control-curriculum", "control_curriculum"),
        control_change=option("control-parent-change", "control_change"),
        parent_approval=option("parent-approval", "parent_approval"),
        campaign=option("campaign-plan", "campaign_plan"),
        parent_campaign=option("parent-campaign-plan", "parent_campaign_plan"),
        checkpoint="results/{prefix}g{n}/checkpoint",
        # What earlier attempts spent of the ceiling; like the checkpoint it goes to whoever trains, and comes back.
        spent=journals_of,
        # Whoever rents for this job reads it: a param, which nothing on the command line can change.
        max_dollars=approved_dollars,
        account=approved_plan,
        metrics="logs/tensorboard/{prefix}g{n}",
    shell:
        "python -m lamarck.train --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} "
        "--plan {input.plan:q} --approval {input.approval:q} --weights {input.weights:q} {params.change} "
        "--curriculum {input.curriculum:q} {params.previous} {params.control} {params.control_change} {params.parent_approval} "
        "{params.campaign} {params.parent_campaign} "
        "--checkpoint {params.checkpoint:q} --metrics {params.metrics:q} "
        "--output {output.child:q} --threads {threads} 2>&1 | tee {log:q}"


# A child of two parents: seconds of work on files that are here.
rule cross:
    input:
        unpack(cross_inputs_of),
        config=CONFIG,
    output:
        child=report(
            directory("results/{crossed}/adapter"),
            patterns=["{record,training}.json"],
            caption="captions/training.rst",
            category="Training",
            labels={"generation": "{crossed}", "file": "{record}.json"},
        ),
    log:
        "logs/{crossed}/crossed.log",
    benchmark:
        "logs/{crossed}/crossed.tsv"
    wildcard_constraints:
        crossed=f"{CROSSED}|{CROSSED_CONTROLS}",
    priority: furthest_first("train")
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        campaign=option("campaign-plan", "campaign_plan"),
        parent_campaign=option("parent-campaign-plan", "parent_campaign_plan"),
        other_campaign=option(
            "other-parent-campaign-plan", "other_parent_campaign_plan"
        ),
        spent=journals_of,
    shell:
        "python -m lamarck.train.cross --config {input.config:q} --generation {wildcards.crossed} "
        "--plan {input.plan:q} --approval {input.approval:q} {params.campaign} "
        "--weights {input.weights:q} --change {input.change:q} --parent-plan {input.previous_plan:q} "
        "--parent-approval {input.parent_approval:q} {params.parent_campaign} "
        "--other-weights {input.other_weights:q} --other-change {input.other_change:q} "
        "--other-parent-plan {input.other_plan:q} --other-parent-approval {input.other_parent_approval:q} "
        "{params.other_campaign} --output {output.child:q} 2>&1 | tee {log:q}"


ruleorder: cross > train
