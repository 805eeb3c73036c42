# The frozen suite measures a generation; its student is the one whom every generation teaches.


rule student:
    input:
        suite=f"{CONF.suite}/suite.yaml",
        config=CONFIG,
    output:
        weights=directory(str(STUDENT)),
    log:
        "logs/g0/student.log",
    benchmark:
        "logs/g0/student.tsv"
    # One that the suite ships is copied, one on the hub is named: nothing is rented for that.
    localrule: STUDENT_KIND != "tiny"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        suite=lambda wildcards, input: os.path.dirname(input.suite),
    shell:
        "python -m lamarck.eval.student --suite {params.suite:q} --output {output.weights:q} --threads {threads} "
        "2>&1 | tee {log:q}"


rule eval:
    input:
        unpack(scores_inputs_of),
        config=CONFIG,
    output:
        scores=report(
            made_by("scores")["scores"],
            caption="captions/eval.rst",
            category="Evaluation",
            labels={"generation": "{prefix}g{n}", "file": "eval.json"},
        ),
        samples=made_by("scores")["samples"],
        record=made_by("scores")["record"],
    log:
        "logs/{prefix}g{n}/eval.log",
    benchmark:
        "logs/{prefix}g{n}/eval.tsv"
    priority: furthest_first("eval")
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads
    params:
        **rented("eval"),
        change=option("change", "change"),
        plan=option("plan", "plan"),
        suite=lambda wildcards, input: os.path.dirname(input.suite),
        # A killed evaluation goes on from these, so they are no output: Snakemake would delete them.
        answers="results/{prefix}g{n}/eval.answers.jsonl",
        spent=lambda wildcards, input: f"approvals/spent/{wildcards.prefix}g{wildcards.n}.{Path(input.suite).parent.name}",
        serves=served("eval"),
    shell:
        "python -m lamarck.eval --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} "
        "--weights {input.weights:q} {params.change} {params.plan} --suite {params.suite:q} --student {input.student:q} --output {output.scores:q} "
        "--samples {output.samples:q} --record {output.record:q} --answers {params.answers:q} --threads {threads} 2>&1 | tee {log:q}"


rule exam:
    input:
        unpack(exam_inputs_of),
        config=CONFIG,
    output:
        **exams_made(),
    log:
        "logs/{prefix}g{n}/exam-{exam}.log",
    benchmark:
        "logs/{prefix}g{n}/exam-{exam}.tsv"
    priority: furthest_first("eval")
    conda:
        "../envs/cpu.yaml"
    threads: CONF.engine.threads
    params:
        **rented("eval"),
        change=option("change", "change"),
        plan=option("plan", "plan"),
        suite=lambda wildcards, input: os.path.dirname(input.exam),
        # A killed evaluation goes on from these, so they are no output: Snakemake would delete them.
        answers="results/{prefix}g{n}/exams/{exam}.answers.jsonl",
        spent="approvals/spent/{prefix}g{n}.{exam}",
        serves=served("eval"),
    shell:
        "python -m lamarck.eval --exam --config {input.config:q} --generation {wildcards.prefix}g{wildcards.n} "
        "--weights {input.weights:q} {params.change} {params.plan} --suite {params.suite:q} --student {params.suite:q}/student --output {output.scores:q} "
        "--samples {output.samples:q} --record {output.record:q} --answers {params.answers:q} --threads {threads} 2>&1 | tee {log:q}"
