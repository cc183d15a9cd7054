# SPDX-License-Identifier: MIT
"""Workers use PostgreSQL through pgbouncer in transaction mode, with fewer connections than
workers."""
import os
import pwd
import shutil
import subprocess

import pytest

from cluster import Load, wait_until
from servers import free_port


@pytest.mark.skipif(not shutil.which("pgbouncer"), reason="pgbouncer is not installed")
def test_workers_behind_a_pooler(cluster):
    service = cluster(workers=0, standby=False)
    folder, port = service.folder / "pgbouncer", free_port()
    folder.mkdir()
    (folder / "users").write_text('"spleeterd" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\nspleeterd = host=127.0.0.1 port={service.primary.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\n"
        "pool_mode = transaction\ndefault_pool_size = 2\n")
    user = {}
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        user = {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}
    with open(service.folder / "pgbouncer.log", "wb") as log:
        pooler = subprocess.Popen(["pgbouncer", folder / "pgbouncer.ini"], stdout=log, stderr=log, **user)
    service.ends.callback(pooler.terminate)
    url = f"postgresql://spleeterd@127.0.0.1:{port}/spleeterd"
    wait_until(lambda: subprocess.run([service.primary.programs / "psql", "-c", "SELECT 1", url], capture_output=True).returncode == 0,
               what="an answer of pgbouncer")
    service.workers = [service.add("worker", DATABASE_URL=url) for _ in range(3)]
    load = Load(service.apis, 20).start()
    load.finish(120)
