// SPDX-License-Identifier: MIT
// The tracks of a song, their faders, and the transport.
import { useEffect } from "preact/hooks";
import type { Track } from "../audio/player";
import type { Mixer } from "../song";
import { announcement } from "../state";
import { clock, decibels, stemName, text } from "../text";
import { Icon, IconButton, Problem } from "./parts";
import { Overlay, Overview, Ruler, usePointer, Waveform } from "./waveforms";

export const SPEEDS = [0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1, 1.1, 1.25, 1.5];

function panText(pan: number): string {
    const strings = text.value;
    const percent = Math.round(100 * Math.abs(pan));
    return percent === 0 ? strings.panCenter : pan < 0 ? strings.panLeft(percent) : strings.panRight(percent);
}

/** The gain is twice the cube of a fader's position, which is nearly linear in decibels; the top is +6 dB. */
const toGain = (way: number) => 2 * way ** 3;
const toWay = (gain: number) => Math.cbrt(gain / 2);

function Meter({ track }: { track: Track }) {
    return <span class="meter" aria-hidden="true"><span style={{ transform: `scaleX(${Math.min(1, Math.cbrt(track.level.value)).toFixed(3)})` }} /></span>;
}

function TrackHead({ track, number }: { track: Track; number: number }) {
    const strings = text.value;
    const name = stemName(track.name);
    return (
        <div class="track-head" data-stem={track.name} role="group" aria-label={name}>
            <div class="track-title">
                <h3>{name}</h3>
                <Meter track={track} />
                <button
                    type="button" class="toggle mute" aria-pressed={track.muted.value} aria-label={strings.muteStem(name)}
                    title={`${strings.muteStem(name)} (Shift ${number})`} onClick={() => (track.muted.value = !track.muted.value)}
                >M</button>
                <button
                    type="button" class="toggle solo" aria-pressed={track.soloed.value} aria-label={strings.soloStem(name)}
                    title={`${strings.soloStem(name)} (${number})`} onClick={() => (track.soloed.value = !track.soloed.value)}
                >S</button>
            </div>
            <div class="faders">
                <input
                    type="range" class="fader" min="0" max="1" step="0.01" value={toWay(track.volume.value)} aria-label={strings.volumeOf(name)}
                    aria-valuetext={decibels(track.volume.value)} title={decibels(track.volume.value)}
                    onInput={(event) => {
                        const gain = toGain(event.currentTarget.valueAsNumber);
                        track.volume.value = Math.abs(gain - 1) < 0.04 ? 1 : gain; // snaps to unity
                    }}
                    onDblClick={() => (track.volume.value = 1)}
                />
                <input
                    type="range" class="pan" min="-1" max="1" step="0.05" value={track.pan.value} aria-label={strings.panOf(name)}
                    aria-valuetext={panText(track.pan.value)} title={panText(track.pan.value)}
                    onInput={(event) => (track.pan.value = event.currentTarget.valueAsNumber)}
                    onDblClick={() => (track.pan.value = 0)}
                />
            </div>
        </div>
    );
}

function Presets({ mixer }: { mixer: Mixer }) {
    const strings = text.value;
    const names = mixer.tracks.map((track) => track.name);
    const hasVocals = names.includes("vocals") && names.length > 1;
    const others = names.length > 2 ? names.filter((name) => name !== "vocals") : [];
    const current = (audible: (name: string) => boolean) =>
        mixer.tracks.every((track) => !track.soloed.value && track.muted.value === !audible(track.name));
    const chip = (label: string, audible: (name: string) => boolean) => (
        <button key={label} type="button" class="chip" aria-pressed={current(audible)} onClick={() => mixer.preset(audible)}>{label}</button>
    );
    return (
        <div class="presets" role="group" aria-label={strings.presets}>
            {chip(strings.presetAll, () => true)}
            {hasVocals && chip(strings.presetKaraoke, (name) => name !== "vocals")}
            {hasVocals && chip(strings.presetVocals, (name) => name === "vocals")}
            {others.map((without) => chip(strings.presetWithout(stemName(without)), (name) => name !== without))}
        </div>
    );
}

function Seek({ mixer }: { mixer: Mixer }) {
    const strings = text.value;
    const { player } = mixer;
    const seconds = player.length.value / player.sampleRate;
    return (
        <div class="seek">
            <Overview mixer={mixer} />
            <input
                type="range" min="0" max={seconds} step="0.1" value={player.seconds.value} aria-label={strings.position}
                aria-valuetext={strings.positionOf(clock(player.seconds.value), clock(seconds))}
                onInput={(event) => player.seek(event.currentTarget.valueAsNumber * player.sampleRate)}
            />
        </div>
    );
}

export function Transport({ mixer, onKeys }: { mixer: Mixer; onKeys: () => void }) {
    const strings = text.value;
    const { player } = mixer;
    const seconds = player.length.value / player.sampleRate;
    return (
        <div class="transport" role="group" aria-label={strings.play}>
            <Seek mixer={mixer} />
            <div class="transport-row">
                <IconButton icon="start" label={strings.toStart} onClick={() => player.seek(0)} />
                <button
                    type="button" class="play" aria-label={player.playing.value ? strings.pause : strings.play}
                    title={player.playing.value ? strings.pause : strings.play} onClick={() => player.toggle()} disabled={mixer.obstacle.value !== null}
                ><Icon name={player.playing.value ? "pause" : "play"} /></button>
                <IconButton
                    icon="loop" label={strings.loop} class="toggle-icon" pressed={player.looping.value}
                    onClick={() => toggleLoop(mixer)}
                />
                {player.loop.value && <IconButton icon="close" label={strings.loopClear} onClick={() => player.setLoop(null)} />}
                <span class="time"><strong>{clock(player.seconds.value, true)}</strong><span> / {clock(seconds)}</span></span>
                <span class="spacer" />
                <label class="compact">
                    <span>{strings.speed}</span>
                    <select value={String(player.speed.value)} onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}>
                        {SPEEDS.map((speed) => <option key={speed} value={String(speed)}>{speed.toLocaleString()}×</option>)}
                    </select>
                </label>
                <label class="compact volume">
                    <Icon name="volume" /><span class="hidden">{strings.masterVolume}</span>
                    <input
                        type="range" class="fader" min="0" max="1" step="0.01" value={toWay(player.volume.value)}
                        aria-valuetext={decibels(player.volume.value)}
                        onInput={(event) => player.setVolume(toGain(event.currentTarget.valueAsNumber))}
                    />
                </label>
                <span class="zoom">
                    <IconButton icon="zoomOut" label={strings.zoomOut} disabled={mixer.zoom.value === 0} onClick={() => mixer.zoomBy(-1)} />
                    <IconButton icon="zoomIn" label={strings.zoomIn} onClick={() => mixer.zoomBy(1)} />
                </span>
                <IconButton icon="keys" label={strings.keys} class="keys-button" onClick={onKeys} />
            </div>
            <p class="waiting" role="status">{player.waiting.value ? strings.waiting : ""}</p>
        </div>
    );
}

/** Turns the loop on or off. If no part was chosen, the next ten seconds are. */
function toggleLoop(mixer: Mixer): void {
    const { player } = mixer;
    if (player.loop.value)
        player.setLoop(player.loop.value, !player.looping.value);
    else
        player.setLoop([player.position.value, Math.min(player.length.value, player.position.value + 10 * player.sampleRate)]);
}

function setLoopEdge(mixer: Mixer, edge: 0 | 1): void {
    const { player } = mixer;
    const range: [number, number] = [...(player.loop.value ?? [0, player.length.value])];
    range[edge] = player.position.value;
    if (range[1] - range[0] > player.sampleRate / 20)
        player.setLoop(range);
}

/** Whether the element with the focus uses the key itself. */
function isTakenBy(target: EventTarget | null, key: string): boolean {
    if (!(target instanceof HTMLElement))
        return false;
    if (target.closest("dialog") || target.matches("input:not([type=range], [type=checkbox], [type=radio]), select, textarea"))
        return true;
    if (key === " ")
        return target.matches("button, a, summary, input[type=checkbox], input[type=radio]");
    return target.matches("input[type=range], input[type=radio]") && (key.startsWith("Arrow") || key === "Home");
}

export function useKeys(mixer: Mixer | null, onKeys: () => void): void {
    useEffect(() => {
        if (!mixer)
            return;
        const { player, tracks } = mixer;
        const speedBy = (step: number) => {
            const now = SPEEDS.indexOf(player.speed.value);
            const speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, now + step))]!;
            player.setSpeed(speed);
            announcement.value = `${text.value.speed}: ${speed}×`;
        };
        const act = (event: KeyboardEvent): boolean => {
            const digit = /^Digit(\d)$/.exec(event.code)?.[1];
            const track = digit ? tracks[Number(digit) - 1] : undefined;
            if (digit === "0" && !event.shiftKey)
                mixer.preset(() => true);
            else if (track && event.shiftKey)
                track.muted.value = !track.muted.value;
            else if (track)
                track.soloed.value = !track.soloed.value;
            else if (event.key === " ")
                player.toggle();
            else if (event.key === "ArrowLeft" || event.key === "ArrowRight")
                player.skip((event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 1 : 5));
            else if (event.key === "Home")
                player.seek(0);
            else if (event.key === "l" || event.key === "L")
                toggleLoop(mixer);
            else if (event.key === "i" || event.key === "I")
                setLoopEdge(mixer, 0);
            else if (event.key === "o" || event.key === "O")
                setLoopEdge(mixer, 1);
            else if (event.key === "+" || event.key === "=")
                mixer.zoomBy(1);
            else if (event.key === "-")
                mixer.zoomBy(-1);
            else if (event.key === "<" || event.key === ",")
                speedBy(-1);
            else if (event.key === ">" || event.key === ".")
                speedBy(1);
            else if (event.key === "?")
                onKeys();
            else
                return false;
            return true;
        };
        const listen = (event: KeyboardEvent) => {
            if (event.ctrlKey || event.metaKey || event.altKey || isTakenBy(event.target, event.key))
                return;
            if (act(event))
                event.preventDefault();
        };
        addEventListener("keydown", listen);
        return () => removeEventListener("keydown", listen);
    }, [mixer]);
}

export function MixerView({ mixer }: { mixer: Mixer }) {
    const strings = text.value;
    const tracks = usePointer(mixer);
    const { player } = mixer;
    return (
        <section class="mixer" aria-label={strings.tracks}>
            <Presets mixer={mixer} />
            {mixer.obstacle.value && <p class="notice">{strings[mixer.obstacle.value]}</p>}
            {player.problem.value !== null && <Problem error={player.problem.value} onDismiss={() => (player.problem.value = null)} />}
            <div class="tracks" ref={tracks} style={{ "--count": mixer.tracks.length }}>
                <div class="ruler-space" />
                <Ruler mixer={mixer} />
                {mixer.tracks.map((track, i) => (
                    <div key={track.file} class="track">
                        <TrackHead track={track} number={i + 1} />
                        <Waveform mixer={mixer} track={track} index={i} />
                    </div>
                ))}
                <Overlay mixer={mixer} />
            </div>
            <p class="fine hint">{strings.loopHint}</p>
        </section>
    );
}
