# What was paid for goes to the hub before anything else is made from it. The token stays on this machine.


rule publish:
    input:
        adapters=lambda wildcards: [str(arm.adapter) for arm in arms_of(wildcards)],
        config=CONFIG,
    output:
        published="results/g{n}/published.json",
    log:
        "logs/g{n}/published.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.hub --config {input.config:q} --generation g{wildcards.n} --output {output.published} "
        "2>&1 | tee {log}"


rule publish_scores:
    input:
        published="results/g{n}/published.json",
        scores=lambda wildcards: [str(arm.scores) for arm in arms_of(wildcards)],
        # The model card says how far a generation is from the founder.
        founder_scores="results/g0/eval.json",
        config=CONFIG,
    output:
        published="results/g{n}/published.scores.json",
    log:
        "logs/g{n}/published.scores.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.hub --config {input.config:q} --generation g{wildcards.n} --output {output.published} "
        "2>&1 | tee {log}"
