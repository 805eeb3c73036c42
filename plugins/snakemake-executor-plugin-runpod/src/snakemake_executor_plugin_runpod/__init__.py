"""Snakemake jobs on a rented RunPod GPU pod: `snakemake --executor runpod --runpod-max-dollars 20`."""

from snakemake_executor_plugin_runpod.executor import Executor
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
