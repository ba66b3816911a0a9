"""A Dask cluster whose workers are jobs of SLURM, as docs/deployments.md has it.

usage: slurm_cluster.py FOLDER JOBS

Prints {"address"} when all workers are there, and ends with its standard input; the jobs end with it.
"""

import json
import sys
from pathlib import Path

from dask_jobqueue import SLURMCluster
from distributed import Client


def main():
    folder, jobs = Path(sys.argv[1]), int(sys.argv[2])
    with SLURMCluster(
        queue="main",
        cores=1,
        processes=1,
        memory="1GB",
        walltime="00:10:00",
        local_directory=str(folder / "local"),
        log_directory=str(folder / "logs"),
        scheduler_options={"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
        worker_extra_args=["--no-dashboard"],
    ) as cluster, Client(cluster) as client:
        cluster.scale(jobs=jobs)
        client.wait_for_workers(jobs, timeout=60)
        print(json.dumps({"address": cluster.scheduler_address}), flush=True)
        sys.stdin.read()


main()
