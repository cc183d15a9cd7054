// SPDX-License-Identifier: MIT
// The choice of songs and options.
import { computed, signal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Failure, type Model } from "../api";
import { addFiles, addUrl, canWrite, config, dropUpload, models, retryUpload, uploads, type Upload } from "../state";
import { duration, size, stemName, text } from "../text";
import { Icon, IconButton, Problem, Progress } from "./parts";

/** Failures that a retry with the same file cannot avoid. */
const FINAL = ["too-large", "too-long", "unsupported-media-type", "unreadable-audio", "infected", "forbidden"];
const LOSSY = ["mp3", "ogg", "opus", "m4a", "wma"];

/* The choice lasts as long as the page. */
const modelName = signal<string | null>(null);
const leftOut = signal<ReadonlySet<string>>(new Set());
const mixes = signal<ReadonlySet<string>>(new Set());
const codec = signal("wav");
const bitDepth = signal("16");
const bitrate = signal("256k");
const wiener = signal(false);

const model = computed<Model | undefined>(() => {
    const wanted = modelName.value ?? config.value?.default_model;
    return models.value.find((each) => each.name === wanted) ?? models.value[0];
});

function toggled(set: ReadonlySet<string>, item: string, on: boolean): ReadonlySet<string> {
    const copy = new Set(set);
    if (on)
        copy.add(item);
    else
        copy.delete(item);
    return copy;
}

/** The mixes that a model offers: all stems but one. */
function possibleMixes(of: Model): { name: string; without: string; stems: string[] }[] {
    if (of.stems.length < 3)
        return [];
    return of.stems.map((without) => ({
        name: without === "vocals" ? "karaoke" : `no_${without}`,
        without,
        stems: of.stems.filter((stem) => stem !== without),
    }));
}

export function jobOptions(): Record<string, unknown> {
    const chosen = model.value;
    if (!chosen)
        return {};
    const options: Record<string, unknown> = { model: chosen.name, codec: codec.value };
    const stems = chosen.stems.filter((stem) => !leftOut.value.has(stem));
    const wanted = possibleMixes(chosen).filter((mix) => mixes.value.has(mix.name));
    if (wanted.length > 0)
        options.mixes = Object.fromEntries(wanted.map((mix) => [mix.name, mix.stems]));
    if (stems.length < chosen.stems.length || wanted.length > 0)
        options.stems = stems.length > 0 || wanted.length > 0 ? stems : chosen.stems;
    if (Array.isArray(options.stems) && options.stems.length === 0)
        delete options.stems;
    if (LOSSY.includes(codec.value))
        options.bitrate = bitrate.value;
    else if (codec.value === "wav" || bitDepth.value !== "float")
        options.bit_depth = bitDepth.value;
    if (wiener.value)
        options.mwf = true;
    return options;
}

function modelHint(of: Model): string {
    const strings = text.value;
    const parts = [of.name.startsWith("spleeter:") ? strings.asSpleeter : null, strings.bandwidth[of.bandwidth] ?? of.bandwidth];
    return parts.filter(Boolean).join(", ");
}

function ModelChoice() {
    const strings = text.value;
    const chosen = model.value;
    const plain = models.value.filter((each) => !each.name.includes(":"));
    const cards = [...(plain.length > 0 ? plain : models.value)].sort((a, b) => a.stems.length - b.stems.length);
    return (
        <fieldset class="models">
            <legend>{strings.separateInto}</legend>
            <div class="model-cards">
                {cards.map((each) => (
                    <label key={each.name} class="model-card">
                        <input
                            type="radio" name="model" value={each.name} checked={chosen?.name === each.name}
                            onChange={() => (modelName.value = each.name)}
                        />
                        <span class="model-card-body">
                            <strong>{strings.stemCount(each.stems.length)}</strong>
                            <span class="stem-dots">
                                {each.stems.map((stem) => (
                                    <span key={stem} class="stem-dot" data-stem={stem}>{stemName(stem)}</span>
                                ))}
                            </span>
                        </span>
                    </label>
                ))}
            </div>
        </fieldset>
    );
}

function MoreOptions() {
    const strings = text.value;
    const chosen = model.value;
    const depths = codec.value === "wav" ? ["16", "24", "float"] : ["16", "24"];
    return (
        <details class="more">
            <summary>{strings.options}</summary>
            <div class="more-grid">
                <label class="field">
                    <span>{strings.separateInto}</span>
                    <select value={chosen?.name} onChange={(event) => (modelName.value = event.currentTarget.value)}>
                        {models.value.map((each) => (
                            <option key={each.name} value={each.name}>{each.name} ({modelHint(each)})</option>
                        ))}
                    </select>
                </label>
                <label class="field">
                    <span>{strings.codec}</span>
                    <select value={codec.value} onChange={(event) => (codec.value = event.currentTarget.value)} aria-describedby="codec-hint">
                        {Object.entries(strings.codecs).map(([name, label]) => <option key={name} value={name}>{label}</option>)}
                    </select>
                </label>
                {LOSSY.includes(codec.value) ? (
                    <label class="field">
                        <span>{strings.bitrate}</span>
                        <select value={bitrate.value} onChange={(event) => (bitrate.value = event.currentTarget.value)}>
                            {["128k", "192k", "256k", "320k"].map((rate) => <option key={rate} value={rate}>{rate.replace("k", " kbit/s")}</option>)}
                        </select>
                    </label>
                ) : (
                    <label class="field">
                        <span>{strings.bitDepth}</span>
                        <select value={bitDepth.value} onChange={(event) => (bitDepth.value = event.currentTarget.value)}>
                            {depths.map((depth) => <option key={depth} value={depth}>{strings.bitDepths[depth]}</option>)}
                        </select>
                    </label>
                )}
                <p id="codec-hint" class="fine span">{strings.codecHint}</p>
                {chosen && (
                    <fieldset class="checks">
                        <legend>{strings.stemsToKeep}</legend>
                        {chosen.stems.map((stem) => (
                            <label key={stem}>
                                <input
                                    type="checkbox" checked={!leftOut.value.has(stem)}
                                    onChange={(event) => (leftOut.value = toggled(leftOut.value, stem, !event.currentTarget.checked))}
                                />
                                {stemName(stem)}
                            </label>
                        ))}
                    </fieldset>
                )}
                {chosen && possibleMixes(chosen).length > 0 && (
                    <fieldset class="checks">
                        <legend>{strings.mixesToMake}</legend>
                        {possibleMixes(chosen).map((mix) => (
                            <label key={mix.name}>
                                <input
                                    type="checkbox" checked={mixes.value.has(mix.name)}
                                    onChange={(event) => (mixes.value = toggled(mixes.value, mix.name, event.currentTarget.checked))}
                                />
                                {mix.name === "karaoke" ? strings.mixKaraoke : strings.mixWithout(stemName(mix.without))}
                            </label>
                        ))}
                    </fieldset>
                )}
                <label class="check span">
                    <input type="checkbox" checked={wiener.value} onChange={(event) => (wiener.value = event.currentTarget.checked)} />
                    {strings.wiener}
                </label>
            </div>
        </details>
    );
}

function UploadRow({ upload }: { upload: Upload }) {
    const strings = text.value;
    const share = upload.bytes > 0 ? Math.min(1, upload.sent / upload.bytes) : 0;
    const elapsed = upload.startedAt === null ? 0 : (performance.now() - upload.startedAt) / 1000;
    const left = share > 0.02 && elapsed > 1 ? (elapsed * (1 - share)) / share : null;
    const state = upload.startedAt === null ? strings.waitsForUpload
        : share < 1 && upload.bytes > 0 ? strings.uploading(Math.floor(100 * share)) : strings.checking;
    return (
        <li class="upload">
            <div class="upload-head">
                <span class="upload-name">{upload.name}</span>
                {upload.bytes > 0 && <span class="fine">{size(upload.bytes)}</span>}
                <IconButton icon="close" label={`${strings.cancel}: ${upload.name}`} onClick={() => dropUpload(upload.id)} />
            </div>
            {upload.failed ? (
                <Problem
                    error={upload.failed}
                    onRetry={upload.failed instanceof Failure && FINAL.includes(upload.failed.code) ? undefined : () => retryUpload(upload.id)}
                />
            ) : (
                <>
                    <Progress value={share} label={upload.name} />
                    <p class="fine">{state}{left !== null && share < 1 && ` · ${strings.eta(duration(left))}`}</p>
                </>
            )}
        </li>
    );
}

export function Uploads() {
    if (uploads.value.length === 0)
        return null;
    return (
        <section aria-labelledby="uploads-title">
            <h2 id="uploads-title">{text.value.uploads}</h2>
            <ul class="uploads">{uploads.value.map((each) => <UploadRow key={each.id} upload={each} />)}</ul>
        </section>
    );
}

function FromLink() {
    const strings = text.value;
    const url = useSignal("");
    return (
        <form
            class="from-link"
            onSubmit={(event) => {
                event.preventDefault();
                addUrl(url.value.trim(), jobOptions());
                url.value = "";
            }}
        >
            <label for="link-url">{strings.fromLinkLabel}</label>
            <div class="row">
                <input
                    id="link-url" type="url" required pattern="https?://.+" placeholder="https://…" value={url.value}
                    onInput={(event) => (url.value = event.currentTarget.value)}
                />
                <button type="submit" class="button">{strings.fetchLink}</button>
            </div>
        </form>
    );
}

export function NewSong() {
    const strings = text.value;
    const input = useRef<HTMLInputElement>(null);
    const limits = config.value;
    const types = limits?.formats.map((format) => `.${format}`).join(",");
    if (!canWrite.value)
        return <p class="empty">{strings.errors.forbidden}</p>;
    return (
        <div class="new-song">
            <h1>{strings.newSong}</h1>
            <div class="drop">
                <Icon name="upload" />
                <p class="drop-title">{strings.dropTitle}</p>
                <p>{strings.dropText}</p>
                <input
                    ref={input} id="files" type="file" multiple accept={`audio/*,${types ?? ""}`} class="hidden-input"
                    onChange={(event) => {
                        addFiles([...(event.currentTarget.files ?? [])], jobOptions());
                        event.currentTarget.value = "";
                    }}
                />
                <label for="files" class="button primary">{strings.chooseFiles}</label>
                {limits && (
                    <p class="fine">
                        {strings.formats(
                            limits.formats.slice(0, 6).join(", ").toUpperCase() + (limits.formats.length > 6 ? "…" : ""),
                            size(limits.max_file_size_bytes / 1.048576), strings.minutes(Math.floor(limits.max_duration_s / 60)),
                        )}
                    </p>
                )}
            </div>
            <Uploads />
            <ModelChoice />
            <MoreOptions />
            <FromLink />
        </div>
    );
}
