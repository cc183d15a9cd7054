// SPDX-License-Identifier: MIT
// The songs of this client.
import { useSignal } from "@preact/signals";
import type { Job } from "../api";
import { alarm, jobName, jobs, jobsLoaded, loadMoreJobs, nextCursor, openJob, songPath } from "../state";
import { clock, date, duration, text } from "../text";
import { Icon, Progress } from "./parts";

function plainText(words: string): string {
    return words.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function Row({ job }: { job: Job }) {
    const strings = text.value;
    const name = jobName(job) ?? strings.untitled;
    const open = openJob.value === job.id;
    return (
        <li>
            <a class="song-row" href={songPath(job.id)} aria-current={open ? "page" : undefined}>
                <span class={`dot ${job.status}`} />
                <span class="song-name">{name}</span>
                <span class="song-facts">
                    {strings.status[job.status]}
                    {job.status === "running" && job.eta_s !== null && ` · ${strings.eta(duration(job.eta_s))}`}
                    {job.status !== "running" && ` · ${job.model.name}`}
                </span>
                <span class="song-time">{job.input.duration_s ? clock(job.input.duration_s) : ""}</span>
                <time class="song-date" dateTime={job.created}>{date(job.created)}</time>
                {job.status === "running" && <Progress value={job.progress} label={name} />}
            </a>
        </li>
    );
}

export function Library() {
    const strings = text.value;
    const query = useSignal("");
    const words = plainText(query.value).split(/\s+/).filter(Boolean);
    const found = jobs.value.filter((job) => {
        const name = plainText(jobName(job) ?? "");
        return words.every((word) => name.includes(word));
    });
    const more = async () => {
        try {
            await loadMoreJobs();
        } catch (error) {
            alarm.value = error;
        }
    };
    const search = async (value: string) => {
        query.value = value;
        while (value && nextCursor.value && query.value === value) // a search covers all songs
            await more();
    };
    return (
        <nav class="library" aria-labelledby="library-title">
            <div class="library-head">
                <h2 id="library-title">{strings.library}</h2>
                <a class="button small" href="#/"><Icon name="plus" />{strings.newSong}</a>
            </div>
            {jobs.value.length > 0 && (
                <div class="search">
                    <Icon name="search" />
                    <input
                        type="search" aria-label={strings.search} placeholder={strings.search} value={query.value}
                        onInput={(event) => void search(event.currentTarget.value)}
                    />
                </div>
            )}
            {jobsLoaded.value && jobs.value.length === 0 && (
                <p class="empty"><strong>{strings.noSongs}</strong><br />{strings.noSongsText}</p>
            )}
            {jobs.value.length > 0 && found.length === 0 && <p class="empty">{strings.noMatch}</p>}
            <ul class="songs">{found.map((job) => <Row key={job.id} job={job} />)}</ul>
            {nextCursor.value && <button type="button" class="button small" onClick={() => void more()}>{strings.showMore}</button>}
        </nav>
    );
}
