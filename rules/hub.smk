# What was paid for goes to the hub before anything else is made from it. The token stays on this machine.


rule publish:
    input:
        unpack(made_from("published")),
        config=CONFIG,
    output:
        published=made_by("published")["published"],
    log:
        "logs/{prefix}g{n}/published.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.hub --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} --output {output.published:q} "
        "2>&1 | tee {log:q}"


rule publish_scores:
    input:
        unpack(made_from("published_scores")),
        config=CONFIG,
    output:
        published=made_by("published_scores")["published"],
    log:
        "logs/{prefix}g{n}/published.scores.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.hub --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} --output {output.published:q} "
        "2>&1 | tee {log:q}"
