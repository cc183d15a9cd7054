# SPDX-License-Identifier: MIT
"""Uses the client that openapi-python-client makes: URL KEY SONG. Writes the vocals to standard output."""
import sys
import time

from spleeterd_client import AuthenticatedClient
from spleeterd_client.api.files import get_stem
from spleeterd_client.api.jobs import create_job, get_job
from spleeterd_client.models import CreateJobFilesBody, JobFromUrl, JobStatus, Options, OptionsBitDepth, Problem, ProblemCode
from spleeterd_client.types import File

url, key, path = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, prefix="", auth_header_name="X-API-KEY")

wanted = JobFromUrl(source_url="https://127.0.0.1/song.wav", options=Options(stems=["vocals"], bit_depth=OptionsBitDepth.VALUE_1, mwf=True))
refused = create_job.sync(client=client, body=wanted)
assert isinstance(refused, Problem) and refused.code == ProblemCode.SOURCE_REFUSED, refused

with open(path, "rb") as song:
    job = create_job.sync(client=client, body=CreateJobFilesBody(file=File(song, "song.wav", "audio/wav"), stems="vocals"))
while job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
    time.sleep(0.05)
    job = get_job.sync(job.id, client=client)
assert job.status == JobStatus.SUCCEEDED and job.input_.name == "song.wav", job
sys.stdout.buffer.write(get_stem.sync_detailed(job.id, job.outputs[0].file, client=client).content)
