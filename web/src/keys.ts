/** A row of keys that telephones' keyboards do not have. Ctrl and Alt hold for the next key. */
import type { Terminal } from "@xterm/xterm";

const KEYS: [label: string, name: string, text: string][] = [
  ["Esc", "Escape", "\x1b"],
  ["Tab", "Tab", "\t"],
  ["Ctrl", "Control, for the next key", "ctrl"],
  ["Alt", "Alt, for the next key", "alt"],
  ["←", "Left", "D"],
  ["↓", "Down", "B"],
  ["↑", "Up", "A"],
  ["→", "Right", "C"],
  ["/", "Slash", "/"],
  ["|", "Pipe", "|"],
  ["-", "Hyphen", "-"],
  ["~", "Tilde", "~"],
];

export class KeyRow {
  readonly #held = new Map<string, HTMLButtonElement>();

  constructor(row: HTMLElement, terminal: Terminal) {
    for (const [label, name, text] of KEYS) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", name);
      const holds = text === "ctrl" || text === "alt";
      if (holds) button.setAttribute("aria-pressed", "false");
      button.addEventListener("pointerdown", (event) => event.preventDefault()); // the keyboard stays up
      button.addEventListener("click", () => {
        if (holds) this.#toggle(text, button);
        else terminal.input(/^[A-D]$/.test(text) ? arrow(text, terminal) : text);
        terminal.focus();
      });
      row.append(button);
    }
  }

  /** What is to be typed for a text, with Ctrl and Alt if they are held, which they are no longer then. */
  applied(text: string): string {
    if (this.#held.size === 0) return text;
    let typed = text;
    if (this.#held.has("ctrl") && typed.length === 1) typed = control(typed);
    if (this.#held.has("alt")) typed = `\x1b${typed}`;
    for (const [name, button] of [...this.#held]) this.#toggle(name, button);
    return typed;
  }

  #toggle(name: string, button: HTMLButtonElement): void {
    if (!this.#held.delete(name)) this.#held.set(name, button);
    button.setAttribute("aria-pressed", String(this.#held.has(name)));
  }
}

/** Ctrl and a character, as terminals send it: `c` -> 0x03. */
export function control(character: string): string {
  const code = character.toUpperCase().charCodeAt(0);
  if (character === " ") return "\x00";
  if (character === "?") return "\x7f";
  return code >= 0x40 && code < 0x60 ? String.fromCharCode(code & 0x1f) : character;
}

function arrow(letter: string, terminal: Terminal): string {
  return `\x1b${terminal.modes.applicationCursorKeysMode ? "O" : "["}${letter}`;
}
