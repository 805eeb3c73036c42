# Every generation with digests, scores, rewards and cost, and the page of it all: derived from the records, never edited.


rule lineage:
    input:
        SCORES,
        PLANS,
        config=CONFIG,
    output:
        lineage="results/lineage.json",
        table=report(
            "results/scores.csv",
            caption="captions/scores.rst",
            category="The lineage",
            labels={"generation": "all", "file": "scores.csv"},
        ),
    log:
        "logs/lineage.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.report --config {input.config:q} --output {output.lineage:q} --table {output.table:q} 2>&1 | tee {log:q}"


rule report:
    input:
        "results/lineage.json",
        config=CONFIG,
    output:
        page=report(
            "results/report.html",
            caption="captions/report.rst",
            category="The lineage",
            labels={"generation": "all", "file": "report.html"},
        ),
    log:
        "logs/report.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "lamarck report --configfile {input.config:q} --out {output.page:q} 2>&1 | tee {log:q}"
