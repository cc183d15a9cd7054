// SPDX-License-Identifier: MIT
import { useSignal } from "@preact/signals";
import { Failure } from "../api";
import { config, sessionEnded, signIn } from "../state";
import { text } from "../text";
import { Problem } from "./parts";

export function SignIn() {
    const strings = text.value;
    // The address by which the service reports a failed sign-in at the OAuth server (GET /v1/session/callback).
    const refused = /^#\/sign-in\/([a-z-]+)$/.exec(location.hash)?.[1];
    const failed = useSignal<unknown>(refused ? new Failure(refused, "") : null);
    const busy = useSignal(false);
    const submit = async (event: SubmitEvent) => {
        event.preventDefault();
        const form = event.currentTarget as HTMLFormElement;
        const key = new FormData(form).get("key") as string;
        busy.value = true;
        failed.value = null;
        try {
            await signIn(key.trim());
        } catch (error) {
            failed.value = error;
            form.querySelector("input")?.select();
        } finally {
            busy.value = false;
        }
    };
    return (
        <main id="main" class="sign-in">
            <div class="card">
                <h1>{strings.signInTitle}</h1>
                <p>{sessionEnded.value ? strings.signedOut : strings.signInText}</p>
                {config.value?.oauth && (
                    <>
                        <a class="button primary wide" href="/v1/session/oauth">{strings.signInElsewhere}</a>
                        <p class="or">{strings.or}</p>
                    </>
                )}
                <form onSubmit={submit}>
                    <input type="text" autocomplete="username" value="spleeterd" hidden />
                    <label for="key">{strings.apiKey}</label>
                    <input id="key" name="key" type="password" autocomplete="current-password" required spellcheck={false} aria-describedby="key-hint" />
                    <p id="key-hint" class="fine">{strings.apiKeyHint}</p>
                    <button type="submit" class={`button wide ${config.value?.oauth ? "" : "primary"}`} disabled={busy.value}>{strings.signIn}</button>
                </form>
                {failed.value !== null && <Problem error={failed.value} />}
            </div>
        </main>
    );
}
