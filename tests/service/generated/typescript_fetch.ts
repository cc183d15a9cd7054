// SPDX-License-Identifier: MIT

// Uses the TypeScript client that OpenAPI Generator makes.
import { Configuration, FilesApi, JobsApi, ProblemFromJSON, ResponseError } from "./client";

export async function separate(url: string, key: string, song: File): Promise<Blob> {
    const configuration = new Configuration({ basePath: url, apiKey: (name) => (name === "X-API-KEY" ? key : "") });
    const jobs = new JobsApi(configuration);
    const refused = await jobs.createJob({ file: song, codec: "exe" }).catch((error) => error);
    const problem = refused instanceof ResponseError && ProblemFromJSON(await refused.response.json());
    if (!problem || problem.code !== "invalid" || problem.field !== "codec") throw new Error("the codec exe was taken");

    let job = await jobs.createJob({ file: song, stems: "vocals" });
    while (job.status === "queued" || job.status === "running") {
        await new Promise((done) => setTimeout(done, 50));
        job = await jobs.getJob({ id: job.id });
    }
    if (job.status !== "succeeded" || job.input.name !== "song.wav") throw new Error(JSON.stringify(job));
    return new FilesApi(configuration).getStem({ id: job.id, file: job.outputs[0].file });
}
