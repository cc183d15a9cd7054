# SPDX-License-Identifier: MIT
"""Uses the Python client that OpenAPI Generator makes: URL KEY SONG. Writes the vocals to standard output."""
import sys
import time

from openapi_client import ApiClient, Configuration, FilesApi, JobsApi
from openapi_client.exceptions import UnprocessableEntityException

# Of the types that the operation takes, this client would choose application/json.
FORM = "multipart/form-data"

url, key, path = sys.argv[1:]
with ApiClient(Configuration(host=url, api_key={"key": key})) as client:
    jobs, files = JobsApi(client), FilesApi(client)
    with open(path, "rb") as song:
        content = song.read()
    try:
        jobs.create_job(("song.wav", content), stems="vocals", codec="exe", _content_type=FORM)
        raise AssertionError("the codec exe was taken")
    except UnprocessableEntityException as problem:
        assert problem.data.code == "invalid" and problem.data.var_field == "codec", problem
    job = jobs.create_job(("song.wav", content), stems="vocals", _content_type=FORM)
    while job.status in ("queued", "running"):
        time.sleep(0.05)
        job = jobs.get_job(job.id)
    assert job.status == "succeeded" and job.input.name == "song.wav", job
    sys.stdout.buffer.write(files.get_stem(job.id, job.outputs[0].file))
