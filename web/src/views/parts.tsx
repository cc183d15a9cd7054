// SPDX-License-Identifier: MIT
// Components that all views use.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Failure } from "../api";
import { text } from "../text";

const paths = {
    play: "M8 5.5v13l11-6.5z",
    pause: "M7 5h3.500v14H7zM13.500 5H17v14h-3.500z",
    start: "M6 5h2.500v14H6zM19 5.500v13L9.500 12z",
    loop: "M17 2l4 4-4 4V7.500H8A3.500 3.500 0 0 0 4.500 11v1H2v-1a6 6 0 0 1 6-6h9zM7 22l-4-4 4-4v2.500h9a3.500 3.500 0 0 0 3.500-3.500v-1H22v1a6 6 0 0 1-6 6H7z",
    zoomIn: "M10.500 3a7.500 7.500 0 0 1 5.900 12.100l4.700 4.800-1.700 1.700-4.800-4.700A7.500 7.500 0 1 1 10.500 3zm0 2.300a5.200 5.200 0 1 0 0 10.400 5.200 5.200 0 0 0 0-10.400zM9.400 7.500h2.200v1.900h1.900v2.200h-1.900v1.900H9.400v-1.900H7.500V9.400h1.900z",
    zoomOut: "M10.500 3a7.500 7.500 0 0 1 5.900 12.100l4.700 4.800-1.700 1.700-4.800-4.700A7.500 7.500 0 1 1 10.500 3zm0 2.300a5.200 5.200 0 1 0 0 10.400 5.200 5.200 0 0 0 0-10.400zM7.500 9.400h6v2.200h-6z",
    download: "M10.800 3h2.400v9l3.100-3.100 1.700 1.700-6 6-6-6 1.700-1.700 3.100 3.100zM4 18.600h16V21H4z",
    share: "M18 2a3.500 3.500 0 1 1-2.600 5.800l-6 3.300a3.600 3.600 0 0 1 0 1.800l6 3.300A3.500 3.500 0 1 1 14.300 18l-6-3.300a3.500 3.500 0 1 1 0-5.400l6-3.300A3.500 3.500 0 0 1 18 2z",
    trash: "M9 3h6l1 2h4v2.300H4V5h4zM5.500 9h13l-1 12h-11z",
    upload: "M10.800 21h2.400v-9l3.100 3.100L18 13.400l-6-6-6 6 1.700 1.700 3.100-3.100zM4 3h16v2.400H4z",
    keys: "M3 6h18a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1zm2 2.500v2h2v-2zm4 0v2h2v-2zm4 0v2h2v-2zm4 0v2h2v-2zm-12 5v2h2v-2zm4 0v2h6v-2zm8 0v2h2v-2z",
    close: "M6.400 4.700 12 10.300l5.600-5.600 1.700 1.700-5.600 5.600 5.600 5.600-1.700 1.700-5.600-5.600-5.600 5.600-1.700-1.700 5.600-5.600-5.600-5.600z",
    back: "M11 4.500 12.700 6.200 8.100 10.800H21v2.400H8.100l4.600 4.600L11 19.500 3.500 12z",
    search: "M10.500 3a7.500 7.500 0 0 1 5.900 12.100l4.700 4.800-1.700 1.700-4.800-4.700A7.500 7.500 0 1 1 10.500 3zm0 2.300a5.200 5.200 0 1 0 0 10.400 5.200 5.200 0 0 0 0-10.400z",
    volume: "M3 9v6h4l6 5V4L7 9zM15.500 8a5 5 0 0 1 0 8v-2.600a2.600 2.600 0 0 0 0-2.800z",
    plus: "M10.800 4h2.400v6.800H20v2.400h-6.800V20h-2.400v-6.800H4v-2.400h6.800z",
    out: "M4 3h9v2.400H6.400v13.200H13V21H4zM15.500 7l5 5-5 5-1.700-1.700 2.100-2.100H9.500v-2.400h6.400l-2.100-2.100z",
    themeAuto: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zm0 2.300v13.400a6.700 6.700 0 0 0 0-13.400z",
    themeLight: "M12 7.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9zM10.900 2h2.200v3.500h-2.200zm0 16.500h2.200V22h-2.200zM2 10.900h3.500v2.200H2zm16.500 0H22v2.200h-3.500zM4.200 5.700l1.500-1.500 2.500 2.500-1.500 1.500zM15.800 17.300l1.500-1.500 2.500 2.500-1.500 1.500zM4.200 18.300l2.500-2.500 1.500 1.500-2.500 2.500zM15.800 6.700l2.500-2.500 1.500 1.500-2.500 2.500z",
    themeDark: "M10 3a8.500 8.500 0 0 0 11 11 9.500 9.500 0 1 1-11-11z",
    alert: "M12 3 22.500 21h-21zM10.900 10v5h2.200v-5zm0 6.300v2.200h2.200v-2.200z",
};
export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
    return (
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
            <path d={paths[name]} />
        </svg>
    );
}

export function IconButton(props: {
    icon: IconName; label: string; class?: string; pressed?: boolean; disabled?: boolean; onClick: (event: MouseEvent) => void;
}) {
    return (
        <button
            type="button" class={`icon-button ${props.class ?? ""}`} aria-label={props.label} title={props.label}
            aria-pressed={props.pressed} disabled={props.disabled} onClick={props.onClick}
        >
            <Icon name={props.icon} />
        </button>
    );
}

/** A failure: what happened, what to do, and the service's own message. */
export function Problem({ error, onRetry, onDismiss }: { error: unknown; onRetry?: (() => void) | undefined; onDismiss?: () => void }) {
    const strings = text.value;
    const failed = error instanceof Failure ? error : new Failure("other", error instanceof Error ? error.message : String(error));
    return (
        <div class="problem" role="alert">
            <Icon name="alert" />
            <div class="problem-text">
                <p><strong>{strings.errors[failed.code] ?? strings.errors.other}</strong></p>
                {failed.detail && <p lang="en">{failed.detail}{failed.setting && ` (${failed.setting})`}</p>}
                {failed.retryAfter !== null && <p>{strings.tryAgainIn(failed.retryAfter)}</p>}
                {failed.requestId && <p class="fine">{strings.requestId} <code>{failed.requestId}</code></p>}
                {onRetry && <button type="button" class="button small" onClick={onRetry}>{strings.retry}</button>}
            </div>
            {onDismiss && <IconButton icon="close" label={strings.dismiss} onClick={onDismiss} />}
        </div>
    );
}

/** A modal dialog, open while it is rendered. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
    const element = useRef<HTMLDialogElement>(null);
    useEffect(() => element.current?.showModal(), []);
    return (
        <dialog
            ref={element} aria-labelledby="dialog-title" onClose={onClose}
            onClick={(event) => event.target === element.current && element.current?.close()}
        >
            <div class="dialog-body">
                <header>
                    <h2 id="dialog-title">{title}</h2>
                    <IconButton icon="close" label={text.value.close} onClick={() => element.current?.close()} />
                </header>
                {children}
            </div>
        </dialog>
    );
}

export function Progress({ value, label }: { value: number; label: string }) {
    return (
        <div class="progress" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * value)}>
            <div class="progress-bar" style={{ width: `${100 * value}%` }} />
        </div>
    );
}
