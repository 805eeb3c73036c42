# The frozen suite measures a generation.


rule eval:
    input:
        unpack(scored_model),
        config=CONFIG,
        suite=f"{CONF.suite}/suite.yaml",
    output:
        scores="results/{prefix}g{n}/eval.json",
        samples="results/{prefix}g{n}/samples.jsonl",
        record="results/{prefix}g{n}/eval.record.json",
    log:
        "logs/{prefix}g{n}/eval.log",
    benchmark:
        "logs/{prefix}g{n}/eval.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads
    params:
        adapter=option("adapter", "adapter"),
        suite=lambda wildcards, input: os.path.dirname(input.suite),
    shell:
        "python -m lamarck.eval --config {input.config} --generation {wildcards.prefix}g{wildcards.n} "
        "--weights {input.weights} {params.adapter} --suite {params.suite} --output {output.scores} "
        "--samples {output.samples} --record {output.record} --threads {threads} 2>&1 | tee {log}"
