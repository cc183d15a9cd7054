// SPDX-License-Identifier: MIT
import { effect, useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { addFiles, alarm, announcement, canWrite, openJob, session, signOut, start } from "./state";
import { appearance, language, languageNames, remember, text, theme, type Theme } from "./text";
import { Library } from "./views/library";
import { jobOptions, NewSong, Uploads } from "./views/new_song";
import { Icon, IconButton, Problem } from "./views/parts";
import { SignIn } from "./views/sign_in";
import { SongView } from "./views/song";

effect(() => {
    document.documentElement.lang = language.value;
    document.documentElement.dataset.theme = appearance.value;
});

const themes = { auto: "themeAuto", light: "themeLight", dark: "themeDark" } as const;

function Bar() {
    const strings = text.value;
    return (
        <header class="bar">
            <a class="brand" href="#/">
                <svg viewBox="0 0 26 26" aria-hidden="true">
                    <g stroke-width="2.6" stroke-linecap="round">
                        <path d="M4 10v6" /><path d="M8.500 6v14" /><path d="M13 3v20" /><path d="M17.500 7v12" /><path d="M22 10.500v5" />
                    </g>
                </svg>
                spleeterd
            </a>
            <span class="spacer" />
            <select
                class="bare" aria-label={strings.language} value={language.value}
                onChange={(event) => {
                    language.value = event.currentTarget.value;
                    remember("language", language.value);
                }}
            >
                {Object.entries(languageNames).map(([code, name]) => <option key={code} value={code}>{name}</option>)}
            </select>
            <IconButton
                icon={themes[theme.value]} label={`${strings.theme}: ${strings[themes[theme.value]]}`}
                onClick={() => {
                    const all = Object.keys(themes) as Theme[];
                    theme.value = all[(all.indexOf(theme.value) + 1) % all.length]!;
                    remember("theme", theme.value);
                }}
            />
            {session.value?.expires && <IconButton icon="out" label={`${strings.signOut} (${session.value.name})`} onClick={() => void signOut().catch((error) => (alarm.value = error))} />}
        </header>
    );
}

/** Songs may be dropped anywhere. */
function useDrop(): boolean {
    const over = useSignal(false);
    useEffect(() => {
        const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") && canWrite.value;
        const listeners: [string, (event: DragEvent) => void][] = [
            ["dragover", (event) => {
                if (!hasFiles(event))
                    return;
                event.preventDefault();
                over.value = true;
            }],
            ["dragleave", (event) => {
                if (!event.relatedTarget)
                    over.value = false;
            }],
            ["drop", (event) => {
                over.value = false;
                if (!hasFiles(event))
                    return;
                event.preventDefault();
                addFiles([...event.dataTransfer!.files], jobOptions());
            }],
        ];
        for (const [name, listener] of listeners)
            addEventListener(name, listener as EventListener);
        return () => listeners.forEach(([name, listener]) => removeEventListener(name, listener as EventListener));
    }, []);
    return over.value;
}

function Page() {
    const strings = text.value;
    const over = useDrop();
    const id = openJob.value;
    return (
        <>
            <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>{strings.skip}</a>
            <Bar />
            <p class="hidden" role="status">{announcement.value}</p>
            {alarm.value !== null && <div class="alarm"><Problem error={alarm.value} onDismiss={() => (alarm.value = null)} onRetry={() => location.reload()} /></div>}
            {session.value === undefined && <main id="main"><p class="empty">{strings.loading}</p></main>}
            {session.value === null && <SignIn />}
            {session.value && (
                <div class={`stage ${id ? "has-song" : ""}`}>
                    <Library />
                    <main id="main" tabIndex={-1}>
                        {id ? <><Uploads /><SongView key={id} id={id} /></> : <NewSong />}
                    </main>
                </div>
            )}
            {over && <div class="drop-over"><Icon name="upload" />{strings.dropTitle}</div>}
        </>
    );
}

render(<Page />, document.getElementById("page")!);
void start();
