// SPDX-License-Identifier: MIT
// The page's language, and the format of times and sizes.
import { computed, signal } from "@preact/signals";
import { en, type Strings } from "./i18n/en";
import { fr } from "./i18n/fr";

const languages: Record<string, Strings> = { en, fr };
export const languageNames: Record<string, string> = { en: "English", fr: "Français" };

function remembered(name: string): string | null {
    try {
        return localStorage.getItem(name);
    } catch {
        return null;
    }
}

export function remember(name: string, value: string): void {
    try {
        localStorage.setItem(name, value);
    } catch {
        // The choice is then lost when the page is closed.
    }
}

const preferred = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in languages) ?? "en";
export const language = signal(remembered("language") ?? preferred);
export const text = computed<Strings>(() => languages[language.value] ?? en);

export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>((remembered("theme") as Theme | null) ?? "auto");

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(darkSystem.matches);
darkSystem.addEventListener("change", () => (systemIsDark.value = darkSystem.matches));
export const appearance = computed(() => (theme.value !== "auto" ? theme.value : systemIsDark.value ? "dark" : "light"));

/** The name of a stem or a mix. "no_drums" is the page's own name for a mix of all stems but one. */
export function stemName(name: string): string {
    if (name.startsWith("no_"))
        return text.value.presetWithout(stemName(name.slice(3)));
    return text.value.stems[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
}

/** "3:07", "1:02:07"; with tenths "3:07.4". */
export function clock(seconds: number, tenths = false): string {
    const whole = Math.max(0, tenths ? Math.floor(seconds * 10) / 10 : Math.floor(seconds));
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    const rest = (tenths ? (whole % 60).toFixed(1) : String(whole % 60)).padStart(tenths ? 4 : 2, "0");
    return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** "12 s", "3 min". */
export function duration(seconds: number): string {
    if (seconds < 90)
        return `${Math.max(1, Math.round(seconds))} s`;
    return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function size(bytes: number): string {
    const unit = bytes >= 1e9 ? "gigabyte" : bytes >= 1e6 ? "megabyte" : "kilobyte";
    const value = bytes / { gigabyte: 1e9, megabyte: 1e6, kilobyte: 1e3 }[unit];
    return new Intl.NumberFormat(language.value, { style: "unit", unit, maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

export function date(iso: string): string {
    return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

export function decibels(gain: number): string {
    if (gain === 0)
        return text.value.silent;
    const value = 20 * Math.log10(gain);
    return text.value.decibels(new Intl.NumberFormat(language.value, { maximumFractionDigits: 1, signDisplay: "exceptZero" }).format(value));
}
