# The parent writes what its child will be trained on.


rule curriculum:
    input:
        unpack(curriculum_inputs_of),
        config=CONFIG,
    output:
        curriculum=made_by("curriculum")["curriculum"],
        card=report(
            made_by("curriculum")["card"],
            caption="captions/curriculum.rst",
            category="Curricula",
            labels={"generation": "{prefix}g{n}", "file": "curriculum.json"},
        ),
    log:
        "logs/{prefix}g{n}/curriculum.log",
    benchmark:
        "logs/{prefix}g{n}/curriculum.tsv"
    wildcard_constraints:
        n=CHILD,
    priority: furthest_first("curriculum")
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads
    params:
        **rented("curriculum"),
        change=option("parent-change", "change"),
        earlier=option("earlier", "earlier"),
        first=option("first-card", "first"),
        like=option("like", "like"),
        plan=option("plan", "plan"),
        # What earlier attempts spent of the ceiling: it goes to whoever writes, and comes back.
        spent="approvals/spent/{prefix}g{n}.curriculum",
        # What it left out, and why: of a run that fails as well, so it is no output.
        rejected="results/{prefix}g{n}/curriculum.rejected.jsonl",
        # A killed writer goes on from these, so they are no output: Snakemake would delete them.
        answers="results/{prefix}g{n}/curriculum.answers.jsonl",
        serves=served("curriculum"),
    shell:
        "python -m lamarck.curriculum --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} "
        "--weights {input.weights:q} {params.change} {params.earlier} {params.first} {params.like} {params.plan} "
        "--output {output.curriculum:q} --card {output.card:q} --answers {params.answers:q} --threads {threads} 2>&1 | tee {log:q}"


# Arms of a campaign that differ in what they make of it: it is written for the first of them.
rule shared_curriculum:
    input:
        unpack(shared_curriculum_inputs_of),
        config=CONFIG,
    output:
        curriculum="results/{sharing}/curriculum.jsonl",
        card=report(
            "results/{sharing}/curriculum.json",
            caption="captions/curriculum.rst",
            category="Curricula",
            labels={"generation": "{sharing}", "file": "curriculum.json"},
        ),
    log:
        "logs/{sharing}/curriculum.log",
    wildcard_constraints:
        sharing=SHARING,
    priority: furthest_first("curriculum")
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.curriculum.shared --config {input.config:q} --generation {wildcards.sharing} "
        "--output {output.curriculum:q} --card {output.card:q} 2>&1 | tee {log:q}"


ruleorder: shared_curriculum > curriculum


# A rule of its own: a dataset card that is missing must not cost a curriculum.
rule dataset_card:
    input:
        unpack(made_from("dataset_card")),
        config=CONFIG,
    output:
        card=report(
            made_by("dataset_card")["dataset_card"],
            caption="captions/dataset_card.rst",
            category="Curricula",
            labels={"generation": "{prefix}g{n}", "file": "curriculum.md"},
        ),
    log:
        "logs/{prefix}g{n}/dataset_card.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.curriculum.dataset_card --config {input.config:q} --card {input.card:q} "
        "--output {output.card:q} 2>&1 | tee {log:q}"
