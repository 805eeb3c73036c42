# Where the founder comes from: pretrained here, or a model directory that exists already.


rule g0:
    input:
        unpack(founder_inputs),
        config=CONFIG,
    output:
        weights=directory("results/g0/weights"),
    log:
        "logs/g0/weights.log",
    benchmark:
        "logs/g0/weights.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.founder_threads
    shell:
        "python -m lamarck.g0 --config {input.config} --output {output.weights} --threads {threads} 2>&1 | tee {log}"
