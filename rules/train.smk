# The child is made: the only rule behind the gate. The trainer checks the approval again, over everything it reads.


rule train:
    input:
        unpack(train_inputs_of),
        config=CONFIG,
    output:
        adapter=report(
            directory(made_by("adapter")["adapter"]),
            patterns=["{record,training}.json"],
            caption="captions/training.rst",
            category="Training",
            labels={"generation": "{prefix}g{n}", "file": "{record}.json"},
        ),
    log:
        "logs/{prefix}g{n}/train.log",
    benchmark:
        "logs/{prefix}g{n}/train.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads * CONF.machines.train.count
    params:
        **rented("train"),
        adapter=option("parent-adapter", "adapter"),
        previous=option("previous-plan", "previous_plan"),
        control=option("control-curriculum", "control_curriculum"),
        control_adapter=option("control-parent-adapter", "control_adapter"),
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
        "--plan {input.plan:q} --approval {input.approval:q} --weights {input.weights:q} {params.adapter} "
        "--curriculum {input.curriculum:q} {params.previous} {params.control} {params.control_adapter} {params.parent_approval} "
        "{params.campaign} {params.parent_campaign} "
        "--checkpoint {params.checkpoint:q} --metrics {params.metrics:q} "
        "--output {output.adapter:q} --threads {threads} 2>&1 | tee {log:q}"
