# What the ledger of a campaign shows. Its members are lineages, which the other rules raise.


rule campaign_result:
    input:
        unpack(result_inputs_of),
    output:
        **results_of_campaigns(),
    log:
        "logs/campaigns/{campaign}.result.log",
    wildcard_constraints:
        campaign=r"[\w-]+",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    shell:
        "python -m lamarck.campaign --campaign {wildcards.campaign} --output {output.result:q} --table {output.table:q} "
        "2>&1 | tee {log:q}"
