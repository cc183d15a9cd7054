// SPDX-License-Identifier: MIT
// The state that all views share: the session, the models, the songs, the uploads, and the current view.
import { computed, signal } from "@preact/signals";
import { api, Failure, upload, whenSignedOut, type Config, type Job, type Model, type Session } from "./api";

export const config = signal<Config | null>(null);
/** undefined: not known yet. */
export const session = signal<Session | null | undefined>(undefined);
export const sessionEnded = signal(false);
export const models = signal<Model[]>([]);
export const jobs = signal<Job[]>([]);
export const nextCursor = signal<string | null>(null);
export const jobsLoaded = signal(false);
/** A failure that no other component shows. */
export const alarm = signal<unknown>(null);
/** The text that screen readers announce. */
export const announcement = signal("");

export const canWrite = computed(() => session.value?.scopes.includes("jobs:write") ?? false);

/* ---- Where the page is ---- */

function readRoute(): string | null {
    return /^#\/songs\/([0-9a-f-]{36})$/.exec(location.hash)?.[1] ?? null;
}
export const openJob = signal(readRoute());
addEventListener("hashchange", () => (openJob.value = readRoute()));

export function songPath(id: string): string {
    return `#/songs/${id}`;
}

/* ---- Session ---- */

async function loadAll(): Promise<void> {
    models.value = await api.models();
    await loadJobs();
}

export async function start(): Promise<void> {
    try {
        config.value = await api.config();
        session.value = await api.session();
        await loadAll();
    } catch (error) {
        session.value ??= null;
        if (!(error instanceof Failure && error.code === "unauthorized"))
            alarm.value = error;
    }
}

export async function signIn(key: string): Promise<void> {
    session.value = await api.signIn(key);
    sessionEnded.value = false;
    await loadAll();
}

function forget(): void {
    session.value = null;
    jobs.value = [];
    jobsLoaded.value = false;
    nextCursor.value = null;
}

export async function signOut(): Promise<void> {
    await api.signOut();
    forget();
    location.hash = "";
}

whenSignedOut(() => {
    if (session.value) {
        sessionEnded.value = true;
        forget();
    }
});

/* ---- Songs ---- */

export function isActive(job: Job): boolean {
    return job.status === "queued" || job.status === "running";
}

export function jobName(job: Job): string | null {
    return job.input.name?.replace(/\.[^.]+$/, "") ?? null;
}

/** Inserts or updates a job; the newest comes first. */
export function putJob(job: Job): void {
    const others = jobs.value.filter((other) => other.id !== job.id);
    jobs.value = [...others, job].sort((a, b) => (a.created < b.created ? 1 : -1));
}

async function loadJobs(): Promise<void> {
    const page = await api.jobs(null);
    jobs.value = page.jobs;
    nextCursor.value = page.next_cursor;
    jobsLoaded.value = true;
}

export async function loadMoreJobs(): Promise<void> {
    if (!nextCursor.value)
        return;
    const page = await api.jobs(nextCursor.value);
    const known = new Set(jobs.value.map((job) => job.id));
    jobs.value = [...jobs.value, ...page.jobs.filter((job) => !known.has(job.id))];
    nextCursor.value = page.next_cursor;
}

export async function removeJob(id: string): Promise<void> {
    await api.remove(id);
    jobs.value = jobs.value.filter((job) => job.id !== id);
    if (openJob.value === id)
        location.hash = "";
}

const REFRESH_MS = 3000;
setInterval(async () => {
    if (!session.value || document.hidden)
        return;
    for (const job of jobs.value.filter((job) => isActive(job) && job.id !== openJob.value).slice(0, 8)) {
        try {
            putJob(await api.job(job.id));
        } catch (error) {
            if (error instanceof Failure && error.code === "not-found")
                jobs.value = jobs.value.filter((other) => other.id !== job.id);
        }
    }
}, REFRESH_MS);

/* ---- Uploads ---- */

export interface Upload {
    readonly id: number;
    readonly name: string;
    readonly bytes: number;
    readonly sent: number;
    readonly startedAt: number | null;
    readonly failed: unknown;
    readonly stopper: AbortController;
    readonly begin: (signal: AbortSignal, progress: (bytes: number) => void) => Promise<Job>;
}

export const uploads = signal<Upload[]>([]);
const AT_ONCE = 2;
let lastUpload = 0;

addEventListener("beforeunload", (event) => {
    if (uploads.value.some((each) => !each.failed)) // these would be lost
        event.preventDefault();
});

function change(id: number, changes: Partial<Upload>): void {
    uploads.value = uploads.value.map((each) => (each.id === id ? { ...each, ...changes } : each));
}

function pump(): void {
    const active = uploads.value.filter((each) => each.startedAt !== null && !each.failed);
    const next = uploads.value.find((each) => each.startedAt === null);
    if (!next || active.length >= AT_ONCE)
        return;
    change(next.id, { startedAt: performance.now() });
    void next
        .begin(next.stopper.signal, (sent) => change(next.id, { sent }))
        .then(
            (job) => {
                const first = uploads.value.length === 1;
                dropUpload(next.id);
                putJob(job);
                if (first && !openJob.value)
                    location.hash = songPath(job.id);
            },
            (error) => {
                if (next.stopper.signal.aborted)
                    dropUpload(next.id);
                else
                    change(next.id, { failed: error });
            },
        )
        .finally(pump);
    pump();
}

function add(name: string, bytes: number, begin: Upload["begin"]): void {
    const entry = { id: ++lastUpload, name, bytes, sent: 0, startedAt: null, failed: null, stopper: new AbortController(), begin };
    uploads.value = [...uploads.value, entry];
    pump();
}

export function addFiles(files: Iterable<File>, options: unknown): void {
    for (const file of files)
        add(file.name, file.size, (signal, progress) => upload(file, options, signal, progress));
}

export function addUrl(url: string, options: unknown): void {
    add(url, 0, () => api.fromUrl(url, options));
}

export function retryUpload(id: number): void {
    change(id, { failed: null, sent: 0, startedAt: null });
    pump();
}

export function dropUpload(id: number): void {
    const found = uploads.value.find((each) => each.id === id);
    if (found && !found.failed)
        found.stopper.abort();
    uploads.value = uploads.value.filter((each) => each.id !== id);
}
