/** What is around the terminal: the state, messages in its place, the banner at its end. */
import { at } from "./dom";

export type Tone = "busy" | "good" | "bad" | "quiet";

const state = at("state", HTMLElement);
const stateText = at("state-text", HTMLElement);
const panel = at("panel", HTMLElement);
const heading = at("panel-heading", HTMLElement);
const text = at("panel-text", HTMLElement);
const form = at("key-form", HTMLFormElement);
const key = at("key", HTMLInputElement);
const keyError = at("key-error", HTMLElement);
const action = at("panel-action", HTMLButtonElement);
const banner = at("banner", HTMLElement);
const toast = at("toast", HTMLElement);
let toastTimer: number | undefined;

export function showState(tone: Tone, words: string, detail = ""): void {
  state.dataset["tone"] = tone;
  state.title = detail;
  if (stateText.textContent !== words) stateText.textContent = words;
}

/** A message in the terminal's place, with something to do about it. */
export function showPanel(tone: Tone, title: string, words: string, label?: string, act?: () => void): void {
  form.hidden = true;
  const moved = panel.hidden;
  panel.hidden = false;
  panel.dataset["tone"] = tone;
  heading.textContent = title;
  text.textContent = words;
  action.hidden = label === undefined;
  action.textContent = label ?? "";
  action.onclick = act ?? null;
  if (moved) heading.focus();
}

export function hidePanel(): void {
  panel.hidden = true;
}

/** Ask for an API key. */
export function askKey(session: string, error: string): Promise<string> {
  showPanel("quiet", "Open this terminal", `Session ${session}`);
  form.hidden = false;
  keyError.textContent = error;
  key.setAttribute("aria-invalid", String(error !== ""));
  key.value = "";
  key.focus();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const given = key.value.trim();
      if (!/^[\x21-\x7e]+$/.test(given)) {
        keyError.textContent = "An API key has letters, digits and underscores: csk_…";
        return;
      }
      key.value = "";
      form.onsubmit = (again) => again.preventDefault();
      resolve(given);
    };
  });
}

/** Words below the terminal, whose text stays. */
export function showBanner(tone: Tone, words: string): void {
  banner.hidden = words === "";
  banner.dataset["tone"] = tone;
  banner.textContent = words;
}

/** Words for a moment. */
export function say(words: string): void {
  toast.textContent = words;
  toast.hidden = false;
  window.clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => {
    toast.hidden = true;
  }, 4000);
}
