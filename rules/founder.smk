# Where the founder comes from: pretrained, copied from a model directory, unpacked from a GGUF file, or named on the hub.


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
    shell:
        "python -m lamarck.founder.check --config {input.config:q} --generation {wildcards.prefix}g0 "
        "--weights {input.weights:q} --output {output.check:q} --record {output.record:q} --threads {threads} 2>&1 | tee {log:q}"
