// SPDX-License-Identifier: MIT
// Downloads: the mix, single files, all files, and links.
import { useSignal } from "@preact/signals";
import { api, type Job, type Link } from "../api";
import { exportMix } from "../audio/export";
import { WavSource } from "../audio/source";
import type { Mixer } from "../song";
import { announcement, config, jobName } from "../state";
import { date, size, stemName, text } from "../text";
import { Dialog, Icon, IconButton, Problem, Progress } from "./parts";

function save(file: Blob, name: string): void {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function ExportMix({ job, mixer }: { job: Job; mixer: Mixer }) {
    const strings = text.value;
    const progress = useSignal<number | null>(null);
    const outcome = useSignal("");
    const failed = useSignal<unknown>(null);
    const onlyLoop = useSignal(false);
    const stopper = useSignal<AbortController | null>(null);
    const { player, tracks } = mixer;

    const run = async () => {
        const sources = tracks.map((track) => track.source!);
        const range = onlyLoop.value && player.loop.value ? player.loop.value : ([0, player.length.value] as [number, number]);
        const format = sources[0] instanceof WavSource ? sources[0].format : "16";
        stopper.value = new AbortController();
        progress.value = 0;
        failed.value = null;
        outcome.value = "";
        try {
            const mix = await exportMix(sources, player.gains(), range[0], range[1], format, stopper.value.signal, (done) => (progress.value = done));
            save(mix.file, `${jobName(job) ?? "song"} - mix.wav`);
            outcome.value = mix.clipped > 0 ? strings.exportClipped(mix.clipped) : strings.exported;
            announcement.value = outcome.value;
        } catch (error) {
            if (!stopper.value.signal.aborted)
                failed.value = error;
        }
        progress.value = null;
    };

    return (
        <div class="export">
            {progress.value === null ? (
                <button type="button" class="button primary" disabled={!mixer.complete.value} onClick={() => void run()}>
                    <Icon name="download" />{strings.exportMix}
                </button>
            ) : (
                <div class="exporting">
                    <Progress value={progress.value} label={strings.exportMix} />
                    <span>{strings.exporting(Math.floor(100 * progress.value))}</span>
                    <button type="button" class="button small" onClick={() => stopper.value?.abort()}>{strings.cancel}</button>
                </div>
            )}
            {player.loop.value && (
                <label class="check">
                    <input type="checkbox" checked={onlyLoop.value} onChange={(event) => (onlyLoop.value = event.currentTarget.checked)} />
                    {strings.exportLoop}
                </label>
            )}
            <p class="fine">{outcome.value || strings.exportMixHint}</p>
            {failed.value !== null && <Problem error={failed.value} onDismiss={() => (failed.value = null)} />}
        </div>
    );
}

const LIVES_S = [3600, 86400, 7 * 86400, 30 * 86400];

function ShareDialog({ job, file, label, onClose }: { job: Job; file: string; label: string; onClose: () => void }) {
    const strings = text.value;
    const longest = config.value?.link_max_s ?? 86400;
    const lives = LIVES_S.filter((life) => life <= longest);
    const life = useSignal(lives.at(-1) ?? longest);
    const link = useSignal<Link | null>(null);
    const copied = useSignal(false);
    const failed = useSignal<unknown>(null);
    const make = async () => {
        failed.value = null;
        try {
            link.value = await api.link(job.id, file, life.value);
        } catch (error) {
            failed.value = error;
        }
    };
    const address = link.value ? new URL(link.value.url, location.origin).href : "";
    const copy = async () => {
        await navigator.clipboard.writeText(address);
        copied.value = true;
        announcement.value = strings.copied;
    };
    const lifeText = (seconds: number) => (seconds < 86400 ? strings.hours(Math.max(1, Math.round(seconds / 3600))) : strings.days(Math.round(seconds / 86400)));
    return (
        <Dialog title={`${strings.shareTitle}: ${label}`} onClose={onClose}>
            <p>{strings.shareText}</p>
            <div class="row">
                <label class="field">
                    <span>{strings.shareLife}</span>
                    <select value={life.value} onChange={(event) => (life.value = Number(event.currentTarget.value))}>
                        {(lives.length > 0 ? lives : [longest]).map((each) => <option key={each} value={each}>{lifeText(each)}</option>)}
                    </select>
                </label>
                <button type="button" class="button primary" onClick={() => void make()}>{strings.makeLink}</button>
            </div>
            {link.value && (
                <>
                    <div class="row">
                        <input class="grow" readOnly aria-label={strings.link} value={address} onFocus={(event) => event.currentTarget.select()} />
                        <button type="button" class="button" onClick={() => void copy()}>{copied.value ? strings.copied : strings.copy}</button>
                    </div>
                    <p class="fine">{strings.validUntil(date(link.value.expires))}</p>
                </>
            )}
            {failed.value !== null && <Problem error={failed.value} />}
        </Dialog>
    );
}

export function Downloads({ job, mixer }: { job: Job; mixer: Mixer | null }) {
    const strings = text.value;
    const sharing = useSignal<{ file: string; label: string } | null>(null);
    if (job.status !== "succeeded")
        return job.status === "running" ? <p class="fine">{strings.whenDone}</p> : null;
    const folder = `/v1/jobs/${job.id}`;
    const row = (file: string, label: string, facts: string, stem?: string) => (
        <li key={file} data-stem={stem}>
            <span class="download-name">{label}</span>
            <span class="fine">{facts}</span>
            <a
                class="icon-button" href={file === "stems.zip" ? `${folder}/stems.zip` : `${folder}/stems/${encodeURIComponent(file)}`} download
                aria-label={strings.download(label)} title={strings.download(label)}
            ><Icon name="download" /></a>
            <IconButton icon="share" label={strings.shareName(label)} onClick={() => (sharing.value = { file, label })} />
        </li>
    );
    return (
        <section class="downloads" aria-labelledby="downloads-title">
            <h2 id="downloads-title">{strings.downloads}</h2>
            {mixer && <ExportMix job={job} mixer={mixer} />}
            <ul>
                {job.outputs.map((output) =>
                    row(output.file, stemName(output.name), `${output.file.split(".").pop()!.toUpperCase()} · ${size(output.bytes ?? 0)}`, output.name))}
                {row("stems.zip", strings.zip, "ZIP")}
            </ul>
            {sharing.value && <ShareDialog job={job} {...sharing.value} onClose={() => (sharing.value = null)} />}
        </section>
    );
}
