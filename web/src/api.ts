// SPDX-License-Identifier: MIT
// The part of the service's public API that the page uses (GET /openapi.json).

export interface Output {
    name: string;
    file: string;
    complete: boolean;
    url: string;
    samples?: number;
    bytes?: number;
}

export type Status = "queued" | "running" | "succeeded" | "failed" | "canceled" | "expired";

export interface Job {
    id: string;
    status: Status;
    created: string;
    finished: string | null;
    expires: string | null;
    model: { name: string };
    options: { codec?: string; bit_depth?: string; mixes?: Record<string, string[]>; offset?: number; duration?: number } | null;
    input: { name: string | null; bytes: number; duration_s: number | null };
    queue: { position: number; eta_s: number | null } | null;
    progress: number;
    eta_s: number | null;
    outputs: Output[];
    error: { code: string; detail: string | null } | null;
    warning: string | null;
    cancel_requested: boolean;
}

export interface Model {
    name: string;
    stems: string[];
    bandwidth: string;
    licence: string | null;
}

export interface Config {
    version: string;
    formats: string[];
    max_file_size_bytes: number;
    max_duration_s: number;
    default_model: string;
    link_max_s: number;
    retention_s: number;
    oauth: boolean;
}

export interface Session {
    name: string;
    scopes: string[];
    /** null: no sign-in is needed. */
    expires: string | null;
}

export interface Link {
    url: string;
    expires: string;
}

/** A failed request. `code` is that of the service's problem, or "network". */
export class Failure extends Error {
    constructor(
        readonly code: string, readonly detail: string,
        readonly requestId: string | null = null, readonly setting: string | null = null, readonly retryAfter: number | null = null,
    ) {
        super(detail || code);
    }
}

export async function failure(answer: { status: number; json(): Promise<unknown> }): Promise<Failure> {
    try {
        const problem = (await answer.json()) as Record<string, string | number | undefined>;
        return new Failure(
            String(problem.code), String(problem.detail ?? ""), String(problem.request_id ?? "") || null,
            (problem.setting as string) ?? null, (problem.retry_after_s as number) ?? null,
        );
    } catch {
        return new Failure("network", `HTTP ${answer.status}`);
    }
}

/** The header that requests with a session need to change anything (docs/page.md). */
export const PAGE_HEADER = { "X-Spleeterd-Page": "1" };

let onSignedOut: () => void = () => {};
export function whenSignedOut(act: () => void): void {
    onSignedOut = act;
}

async function request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    let answer: Response;
    try {
        answer = await fetch(path, {
            method,
            headers: { ...PAGE_HEADER, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
            body: body === undefined ? null : JSON.stringify(body),
        });
    } catch {
        throw new Failure("network", "");
    }
    if (answer.ok)
        return answer;
    const problem = await failure(answer);
    if (problem.code === "unauthorized" && path !== "/v1/session")
        onSignedOut();
    throw problem;
}

async function json<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T> {
    return (await request(method, path, body, headers)).json() as Promise<T>;
}

export const api = {
    config: () => json<Config>("GET", "/v1/config"),
    session: () => json<Session>("GET", "/v1/session"),
    signIn: (key: string) => json<Session>("POST", "/v1/session", undefined, { "X-API-KEY": key }),
    signOut: () => request("DELETE", "/v1/session"),
    models: async () => (await json<{ models: Model[] }>("GET", "/v1/models")).models,
    jobs: (cursor: string | null) =>
        json<{ jobs: Job[]; next_cursor: string | null }>("GET", `/v1/jobs?limit=100${cursor ? `&cursor=${cursor}` : ""}`),
    job: (id: string) => json<Job>("GET", `/v1/jobs/${id}`),
    remove: (id: string) => request("DELETE", `/v1/jobs/${id}`),
    cancel: (id: string) => json<Job>("POST", `/v1/jobs/${id}/cancel`),
    link: (id: string, file: string, seconds: number) =>
        json<Link>("POST", `/v1/jobs/${id}/links`, { file, expires_in_s: seconds }),
    fromUrl: (source_url: string, options: unknown) => json<Job>("POST", "/v1/jobs", { source_url, options }),
};

/** Sends a file as a form. `progress` receives the number of bytes sent. */
export function upload(file: File, options: unknown, signal: AbortSignal, progress: (bytes: number) => void): Promise<Job> {
    return new Promise((resolve, reject) => {
        const form = new FormData();
        form.append("options", JSON.stringify(options));
        form.append("file", file, file.name);
        const request = new XMLHttpRequest();
        request.open("POST", "/v1/jobs");
        for (const [name, value] of Object.entries(PAGE_HEADER))
            request.setRequestHeader(name, value);
        request.responseType = "text";
        request.upload.onprogress = (event) => progress(event.loaded);
        request.onload = async () => {
            const json = async () => JSON.parse(request.responseText) as unknown;
            if (request.status === 202)
                resolve((await json()) as Job);
            else
                reject(await failure({ status: request.status, json }));
        };
        request.onerror = () => reject(new Failure("network", ""));
        signal.addEventListener("abort", () => {
            request.abort();
            reject(new DOMException("", "AbortError"));
        });
        request.send(form);
    });
}
