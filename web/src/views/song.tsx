// SPDX-License-Identifier: MIT
// One song: its progress, mixer and downloads.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { api, Failure, type Job } from "../api";
import { Song } from "../song";
import { announcement, canWrite, isActive, jobName, removeJob } from "../state";
import { clock, date, duration, text } from "../text";
import { Downloads } from "./downloads";
import { MixerView, Transport, useKeys } from "./mixer";
import { Dialog, Icon, IconButton, Problem, Progress } from "./parts";

function State({ song, job }: { song: Song; job: Job }) {
    const strings = text.value;
    const eta = job.eta_s ?? job.queue?.eta_s ?? null;
    const cancel = async () => {
        try {
            song.take(await api.cancel(job.id));
        } catch (error) {
            song.failed.value = error;
        }
    };
    if (isActive(job))
        return (
            <div class="state">
                <p>
                    <strong>{job.status === "queued" && job.queue ? strings.queuePosition(job.queue.position) : strings.status[job.status]}</strong>
                    {job.status === "running" && <> {strings.percent(Math.floor(100 * job.progress))}</>}
                    {eta !== null && <span class="fine"> · {strings.eta(duration(eta))}</span>}
                    {job.status === "running" && song.mixer.value && <span class="fine"> · {strings.listenAlready}</span>}
                </p>
                {canWrite.value && <button type="button" class="button small" disabled={job.cancel_requested} onClick={() => void cancel()}>{strings.cancelJob}</button>}
                <Progress value={job.progress} label={strings.status.running!} />
            </div>
        );
    if (job.status === "failed" && job.error)
        return <Problem error={new Failure(job.error.code, job.error.detail ?? "")} />;
    if (job.status === "expired" || job.status === "canceled")
        return <p class="notice">{job.status === "expired" ? strings.expiredText : strings.canceledText}</p>;
    if (job.warning)
        return <p class="notice">{strings.warning(job.warning)}</p>;
    return null;
}

export function SongView({ id }: { id: string }) {
    const strings = text.value;
    const song = useMemo(() => new Song(id), [id]);
    const keysShown = useSignal(false);
    const deleting = useSignal(false);
    const deleteFailed = useSignal<unknown>(null);
    useEffect(() => () => song.close(), [song]);
    const job = song.job.value, mixer = song.mixer.value;
    const showKeys = () => (keysShown.value = true);
    useKeys(mixer, showKeys);
    const name = job ? (jobName(job) ?? strings.untitled) : "";
    const status = job?.status;
    useEffect(() => {
        document.title = name ? `${name} – spleeterd` : "spleeterd";
        return () => (document.title = "spleeterd");
    }, [name]);
    useEffect(() => {
        if (status)
            announcement.value = `${name}: ${text.value.status[status]}`;
    }, [status]);
    const remove = async () => {
        try {
            await removeJob(id);
        } catch (error) {
            deleteFailed.value = error;
        }
        deleting.value = false;
    };
    return (
        <article class="song">
            <a class="back" href="#/"><Icon name="back" />{strings.back}</a>
            {job && (
                <header class="song-head">
                    <div>
                        <h1>{name}</h1>
                        <p class="facts">
                            {job.input.duration_s ? `${clock(job.input.duration_s)} · ` : ""}{job.model.name} · {date(job.created)}
                            {job.expires && job.status === "succeeded" && ` · ${strings.keptUntil(date(job.expires))}`}
                        </p>
                    </div>
                    {canWrite.value && <IconButton icon="trash" label={strings.remove} onClick={() => (deleting.value = true)} />}
                </header>
            )}
            {!job && song.failed.value === null && <p class="empty">{strings.loading}</p>}
            {song.failed.value !== null && <Problem error={song.failed.value} onRetry={() => void song.load()} />}
            {deleteFailed.value !== null && <Problem error={deleteFailed.value} onDismiss={() => (deleteFailed.value = null)} />}
            {job && <State song={song} job={job} />}
            {mixer && <MixerView mixer={mixer} />}
            {mixer && <Transport mixer={mixer} onKeys={showKeys} />}
            {job && <Downloads job={job} mixer={mixer} />}
            {keysShown.value && (
                <Dialog title={strings.keysTitle} onClose={() => (keysShown.value = false)}>
                    <dl class="keys">
                        {strings.keysList.map(([keys, what]) => (
                            <div key={keys}><dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{what}</dd></div>
                        ))}
                    </dl>
                </Dialog>
            )}
            {deleting.value && (
                <Dialog title={strings.deleteTitle} onClose={() => (deleting.value = false)}>
                    <p>{strings.deleteText(name)}</p>
                    <div class="row end">
                        <button type="button" class="button" onClick={() => (deleting.value = false)}>{strings.cancel}</button>
                        <button type="button" class="button danger" onClick={() => void remove()}>{strings.remove}</button>
                    </div>
                </Dialog>
            )}
        </article>
    );
}
