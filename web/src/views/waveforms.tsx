// SPDX-License-Identifier: MIT
// Waveforms: one canvas a track that draws what is in view, with ruler, playhead, loop and scrolling over all of them.
import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Peaks } from "../peaks";
import type { Mixer } from "../song";
import type { Track } from "../audio/player";
import { appearance, clock, stemName, text } from "../text";

const DRAG_PIXELS = 5;

type Draw = (canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, width: number, height: number) => void;

/** Calls `draw` in the next frame after a change of a signal that it reads, or of the element's size. */
function useDrawing(draw: Draw, inputs: unknown[]) {
    const ref = useRef<HTMLCanvasElement>(null);
    useEffect(() => {
        const canvas = ref.current!;
        const context = canvas.getContext("2d")!;
        let frame = 0;
        let stop = () => {};
        const request = () => (frame ||= requestAnimationFrame(paint));
        const paint = () => {
            frame = 0;
            stop();
            const width = Math.round(canvas.clientWidth * devicePixelRatio);
            const height = Math.round(canvas.clientHeight * devicePixelRatio);
            if (canvas.width !== width || canvas.height !== height) {
                canvas.width = width;
                canvas.height = height;
            }
            context.clearRect(0, 0, width, height);
            let drawn = false;
            stop = effect(() => {
                if (drawn)
                    request();
                else
                    draw(canvas, context, width, height);
                drawn = true;
            });
        };
        const observer = new ResizeObserver(request);
        observer.observe(canvas);
        return () => {
            observer.disconnect();
            stop();
            cancelAnimationFrame(frame);
        };
    }, inputs);
    return ref;
}

/** Draws peaks from `first` on, `perPixel` of them in a pixel, as upright bars. Filling an outline takes several times as long. */
function bars(context: CanvasRenderingContext2D, peaks: Int8Array, first: number, perPixel: number, fromX: number, toX: number, height: number) {
    const middle = height / 2, scale = (height / 2 - 1) / 127;
    for (let x = fromX, peak = first; x < toX; x++, peak += perPixel) {
        const begin = Math.floor(peak);
        const end = Math.min(peaks.length / 2, Math.max(begin + 1, Math.floor(peak + perPixel)));
        if (begin >= end)
            break;
        let least = 127, most = -128;
        for (let i = begin; i < end; i++) {
            least = Math.min(least, peaks[2 * i]!);
            most = Math.max(most, peaks[2 * i + 1]!);
        }
        const top = Math.round(middle - most * scale);
        context.fillRect(x, top, 1, Math.max(1, Math.round(middle - least * scale) - top));
    }
}

function drawTrack(context: CanvasRenderingContext2D, mixer: Mixer, peaks: Peaks, width: number, height: number, scale: number) {
    const framesPerPixel = mixer.framesPerPixel.value / scale;
    const start = mixer.viewStart.value;
    void peaks.version.value; // so that new peaks redraw it
    if (framesPerPixel < 512) {
        const perPixel = framesPerPixel / Peaks.tileSamples;
        const last = Math.min(peaks.frames, start + width * framesPerPixel);
        for (let index = Math.floor(start / Peaks.tileFrames); index * Peaks.tileFrames < last; index++) {
            const tile = peaks.tile(index);
            const x = Math.max(0, Math.ceil((index * Peaks.tileFrames - start) / framesPerPixel));
            const end = Math.min(width, ((index + 1) * Peaks.tileFrames - start) / framesPerPixel);
            const frame = start + x * framesPerPixel;
            if (tile) {
                bars(context, tile, (frame - index * Peaks.tileFrames) / Peaks.tileSamples, perPixel, x, end, height);
            } else { // until the tile has arrived
                const { peaks: level, samples } = peaks.level(framesPerPixel);
                bars(context, level, frame / samples, framesPerPixel / samples, x, end, height);
            }
        }
        return;
    }
    const { peaks: level, samples } = peaks.level(framesPerPixel);
    bars(context, level, start / samples, framesPerPixel / samples, 0, width, height);
}

export function Waveform({ mixer, track, index }: { mixer: Mixer; track: Track; index: number }) {
    const peaks = mixer.peaks[index]!;
    const ref = useDrawing((canvas, context, width, height) => {
        void appearance.value;
        context.fillStyle = getComputedStyle(canvas).color;
        drawTrack(context, mixer, peaks, width, height, devicePixelRatio);
    }, [mixer, track]);
    const solo = mixer.tracks.some((each) => each.soloed.value);
    const audible = solo ? track.soloed.value : !track.muted.value;
    return (
        <canvas
            ref={ref} class={`waveform ${audible ? "" : "inaudible"}`} data-stem={track.name} role="img"
            aria-label={text.value.waveformOf(stemName(track.name))}
        />
    );
}

/** Steps of the ruler, in seconds. */
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600];

export function Ruler({ mixer }: { mixer: Mixer }) {
    const ref = useDrawing((canvas, context, width, height) => {
        void appearance.value;
        const scale = devicePixelRatio;
        const style = getComputedStyle(canvas);
        const secondsPerPixel = mixer.framesPerPixel.value / mixer.player.sampleRate / scale;
        const step = STEPS.find((each) => each / secondsPerPixel > 64 * scale) ?? 3600;
        const first = mixer.viewStart.value / mixer.player.sampleRate;
        context.fillStyle = style.color;
        context.font = `${11 * scale}px ${style.fontFamily}`;
        context.textBaseline = "middle";
        for (let time = Math.floor(first / step) * step; (time - first) / secondsPerPixel < width; time += step) {
            const x = Math.round((time - first) / secondsPerPixel);
            context.fillRect(x, height * 0.55, scale, height * 0.45);
            context.fillText(clock(time, step < 1), x + 4 * scale, height * 0.42);
        }
    }, [mixer]);
    return <canvas ref={ref} class="ruler" aria-hidden="true" />;
}

/** All tracks drawn over each other, for the whole song. */
export function Overview({ mixer }: { mixer: Mixer }) {
    const ref = useDrawing((canvas, context, width, height) => {
        void appearance.value;
        const framesPerPixel = Math.max(1, mixer.player.length.value / width);
        context.globalAlpha = 0.75;
        mixer.peaks.forEach((peaks, i) => {
            void peaks.version.value; // so that new peaks redraw it
            const style = getComputedStyle(canvas);
            context.fillStyle = style.getPropertyValue(`--${mixer.tracks[i]!.name}`) || style.getPropertyValue("--stem");
            const { peaks: level, samples } = peaks.level(framesPerPixel);
            bars(context, level, 0, framesPerPixel / samples, 0, Math.min(width, peaks.frames / framesPerPixel), height);
        });
        context.globalAlpha = 1;
    }, [mixer]);
    return <canvas ref={ref} class="overview" aria-hidden="true" />;
}

/** Drawn over the waveforms: the playhead, the loop, and the part that is not separated yet. */
export function Overlay({ mixer }: { mixer: Mixer }) {
    const element = useRef<HTMLDivElement>(null);
    const { player } = mixer;

    useEffect(() => {
        const box = element.current!;
        const [absent, loop, head] = [...box.children] as [HTMLElement, HTMLElement, HTMLElement];
        const observer = new ResizeObserver(() => {
            mixer.laneWidth.value = Math.max(1, box.clientWidth);
            mixer.scrollTo(mixer.viewStart.value);
        });
        observer.observe(box);
        const toX = (frame: number) => (frame - mixer.viewStart.value) / mixer.framesPerPixel.value;
        const within = (x: number) => Math.max(-2, Math.min(mixer.laneWidth.value + 2, x));
        const stops = [
            effect(() => {
                const x = toX(player.position.value);
                head.style.transform = `translateX(${x}px)`;
                head.hidden = x < 0 || x > mixer.laneWidth.value;
            }),
            effect(() => {
                const range = player.loop.value;
                loop.hidden = !range;
                loop.classList.toggle("off", !player.looping.value);
                if (range) {
                    const left = within(toX(range[0]));
                    loop.style.transform = `translateX(${left}px)`;
                    loop.style.width = `${within(toX(range[1])) - left}px`;
                }
            }),
            effect(() => {
                absent.hidden = player.available.value >= player.length.value;
                absent.style.left = `${Math.max(0, toX(player.available.value))}px`;
            }),
            effect(() => {
                const position = player.position.value;
                const start = mixer.viewStart.peek(), view = mixer.viewFrames;
                if (player.playing.value && (position < start || position > start + view))
                    mixer.scrollTo(position - view * 0.04);
            }),
        ];
        return () => {
            observer.disconnect();
            stops.forEach((stop) => stop());
        };
    }, [mixer]);

    return (
        <div ref={element} class="overlay" aria-hidden="true">
            <div class="absent" hidden />
            <div class="loop" hidden />
            <div class="playhead" />
        </div>
    );
}

/** Handles the pointer on waveforms and ruler: a click seeks, dragging sets the loop (with a finger: scrolls), the wheel scrolls and zooms. */
export function usePointer(mixer: Mixer) {
    const ref = useRef<HTMLDivElement>(null);
    useEffect(() => {
        const { player } = mixer;
        const box = ref.current!;
        const targetOf = (event: Event) => (event.target as Element).closest<HTMLElement>(".waveform, .ruler");
        const frameAt = (element: HTMLElement, x: number) => {
            const frame = mixer.viewStart.value + (x - element.getBoundingClientRect().left) * mixer.framesPerPixel.value;
            return Math.max(0, Math.min(player.length.value, frame));
        };
        const wheel = (event: WheelEvent) => {
            const element = targetOf(event);
            const across = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
            if (element && (event.ctrlKey || event.metaKey))
                mixer.zoomBy(-event.deltaY / 120, frameAt(element, event.clientX));
            else if (element && across !== 0)
                mixer.scrollTo(mixer.viewStart.value + across * mixer.framesPerPixel.value);
            else
                return;
            event.preventDefault();
        };
        const down = (event: PointerEvent) => {
            const element = targetOf(event);
            if (event.button !== 0 || !element)
                return;
            const startX = event.clientX, startFrame = frameAt(element, startX), startView = mixer.viewStart.value;
            const touch = event.pointerType === "touch";
            const listeners = new AbortController();
            let dragged = false;
            element.setPointerCapture(event.pointerId);
            const move = (now: PointerEvent) => {
                dragged ||= Math.abs(now.clientX - startX) > DRAG_PIXELS;
                if (!dragged)
                    return;
                const frame = frameAt(element, now.clientX);
                if (touch)
                    mixer.scrollTo(startView - (now.clientX - startX) * mixer.framesPerPixel.value);
                else
                    player.setLoop([Math.min(startFrame, frame), Math.max(startFrame, frame)]);
            };
            const up = () => {
                listeners.abort();
                if (!dragged)
                    player.seek(startFrame);
                else if (!touch)
                    player.seek(player.loop.value![0]);
            };
            element.addEventListener("pointermove", move, listeners);
            element.addEventListener("pointerup", up, listeners);
            element.addEventListener("pointercancel", () => listeners.abort(), listeners);
        };
        box.addEventListener("wheel", wheel, { passive: false });
        box.addEventListener("pointerdown", down);
        return () => {
            box.removeEventListener("wheel", wheel);
            box.removeEventListener("pointerdown", down);
        };
    }, [mixer]);
    return ref;
}
