# Where the founder comes from: pretrained, copied from a model directory, unpacked from a GGUF file, merged, or named on
# the hub.


if primer_of(CONF):

    rule unprimed:
        input:
            unpack(made_from("unprimed")),
            config=CONFIG,
        output:
            weights=directory(made_by("unprimed")["unprimed"]),
        log:
            "logs/{prefix}g0/unprimed.log",
        benchmark:
            "logs/{prefix}g0/unprimed.tsv"
        localrule: True
        conda:
            "../envs/cpu.yaml"
        threads: CONF.engine.founder_threads
        shell:
            "python -m lamarck.founder --config {input.config:q} --generation {wildcards.prefix}g0 --output {output.weights:q} --threads {threads} 2>&1 | tee {log:q}"

    rule primer:
        input:
            unpack(made_from("primer")),
            config=CONFIG,
        output:
            curriculum=made_by("primer")["curriculum"],
            card=made_by("primer")["card"],
        log:
            "logs/{prefix}g0/primer.log",
        benchmark:
            "logs/{prefix}g0/primer.tsv"
        localrule: True
        conda:
            "../envs/cpu.yaml"
        threads: 1
        shell:
            "python -m lamarck.curriculum.primer --config {input.config:q} --generation {wildcards.prefix}g0 "
            "--output {output.curriculum:q} --card {output.card:q} 2>&1 | tee {log:q}"

    checkpoint primer_plan:
        input:
            unpack(primer_plan_inputs_of),
            config=CONFIG,
        output:
            record=made_by("primer_plan")["record"],
            plan=report(
                made_by("primer_plan")["plan"],
                caption="captions/plan.rst",
                category="Plans",
                labels={"generation": "{prefix}g0", "file": "plan.json"},
            ),
        log:
            "logs/{prefix}g0/plan.log",
        localrule: True
        conda:
            "../envs/cpu.yaml"
        threads: 1
        shell:
            "python -m lamarck.gate.primer --config {input.config:q} --generation {wildcards.prefix}g0 "
            "--weights {input.unprimed:q} --curriculum {input.curriculum:q} --output {output.plan:q} "
            "--record {output.record:q} 2>&1 | tee {log:q}"

    # Behind a gate of its own: the warm-up becomes part of g0, the same for both arms.
    rule prime:
        input:
            unpack(prime_inputs_of),
            config=CONFIG,
        output:
            weights=directory(made_by("weights")["weights"]),
        log:
            "logs/{prefix}g0/weights.log",
        benchmark:
            "logs/{prefix}g0/weights.tsv"
        wildcard_constraints:
            prefix=rf"(?!(?:{UNPRIMED_PREFIXES})g0/)(?:[\w-]+/)*",
        conda:
            "../envs/cpu.yaml"
        threads: CONF.engine.threads
        params:
            **rented("train"),
            checkpoint="results/{prefix}g0/checkpoint",
            spent=lambda wildcards: str(spent_directory(f"{wildcards.prefix}g0")),
            max_dollars=approved_dollars,
            account=approved_plan,
        shell:
            "python -m lamarck.train.primer --config {input.config:q} --generation {wildcards.prefix}g0 "
            "--plan {input.plan:q} --approval {input.approval:q} --weights {input.unprimed:q} "
            "--curriculum {input.curriculum:q} --checkpoint {params.checkpoint:q} --output {output.weights:q} "
            "--threads {threads} 2>&1 | tee {log:q}"


rule founder:
    input:
        unpack(made_from("weights")),
        config=CONFIG,
    output:
        weights=directory(made_by("weights")["weights"]),
    log:
        "logs/{prefix}g0/weights.log",
    benchmark:
        "logs/{prefix}g0/weights.tsv"
    wildcard_constraints:
        prefix=UNPRIMED_PREFIXES,
    # What exists already is copied, or named, by the machine that has it; pretraining may need a rented one.
    localrule: CONF.founder.kind != "tiny"
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.founder_threads
    shell:
        "python -m lamarck.founder --config {input.config:q} --generation {wildcards.prefix}g0 --output {output.weights:q} --threads {threads} 2>&1 | tee {log:q}"


# Found out where the weights are, which for those on the hub may be a rented machine.
rule founder_check:
    input:
        unpack(made_from("founder_check")),
        config=CONFIG,
    output:
        check=report(
            made_by("founder_check")["check"],
            caption="captions/founder_check.rst",
            category="The lineage",
            labels={"generation": "{prefix}g0", "file": "check.json"},
        ),
        record=made_by("founder_check")["record"],
    log:
        "logs/{prefix}g0/founder_check.log",
    benchmark:
        "logs/{prefix}g0/founder_check.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads
    params:
        **rented("curriculum"),
    shell:
        "python -m lamarck.founder.check --config {input.config:q} --generation {wildcards.prefix}g0 "
        "--weights {input.weights:q} --output {output.check:q} --record {output.record:q} --threads {threads} 2>&1 | tee {log:q}"
