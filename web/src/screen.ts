/** The terminal on the page: xterm.js and its addons. */
import { ClipboardAddon, type ClipboardSelectionType } from "@xterm/addon-clipboard";
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { isReply } from "./replies";
import { DARK, LIGHT } from "./themes";

const FONTS = 'ui-monospace, "Cascadia Mono", "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';
const LINES_KEPT = 20_000;
const SETTLE_MS = 60;

export class Screen {
  readonly terminal: Terminal;
  readonly search = new SearchAddon();
  readonly #fit = new FitAddon();
  readonly #box: HTMLElement;
  #replaying = 0;
  #granted = { rows: 24, cols: 80 };
  #room = { rows: 24, cols: 80 };
  #timer: number | undefined;
  /** Text that was typed. */
  typed: (text: string) => void = () => {};
  /** Bytes that were typed, one a character. */
  typedBytes: (bytes: string) => void = () => {};
  /** There is room for a terminal of this size. */
  roomChanged: (rows: number, cols: number) => void = () => {};

  constructor(box: HTMLElement, options: { fontSize: number; reader: boolean; dark: boolean }) {
    this.#box = box;
    this.terminal = new Terminal({
      allowProposedApi: true, // unicode versions and decorations of matches
      cursorBlink: true,
      fontFamily: FONTS,
      fontSize: options.fontSize,
      lineHeight: 1.1,
      minimumContrastRatio: 4.5,
      screenReaderMode: options.reader,
      scrollback: LINES_KEPT,
      theme: options.dark ? DARK : LIGHT,
      linkHandler: { activate: (_, address) => follow(address, true) },
    });
    for (const addon of [this.#fit, this.search, new Unicode11Addon()]) this.terminal.loadAddon(addon);
    this.terminal.loadAddon(new WebLinksAddon((_, address) => follow(address, false)));
    this.terminal.loadAddon(new ClipboardAddon(undefined, WRITE_ONLY));
    this.terminal.unicode.activeVersion = "11";
    this.terminal.onData((text) => {
      if (this.#replaying === 0 || !isReply(text)) this.typed(text);
    });
    this.terminal.onBinary((bytes) => this.typedBytes(bytes));
    this.terminal.open(box);
    void this.#accelerate();
    new ResizeObserver(() => this.#later()).observe(box);
    this.fit();
  }

  /** Show output; `done` is called once it is on the screen. Queries in what is `replayed` are not answered. */
  write(data: Uint8Array | string, replayed: boolean, done: () => void): void {
    if (replayed) this.#replaying += 1;
    this.terminal.write(data, () => {
      if (replayed) this.#replaying -= 1;
      done();
    });
  }

  get room(): { rows: number; cols: number } {
    return this.#room;
  }

  /** The session's terminal has this size now. It may be smaller than there is room for, when others look on. */
  granted(rows: number, cols: number): void {
    this.#granted = { rows, cols };
    this.#apply();
  }

  set dark(dark: boolean) {
    this.terminal.options.theme = dark ? DARK : LIGHT;
  }

  set reader(reader: boolean) {
    this.terminal.options.screenReaderMode = reader;
  }

  set fontSize(size: number) {
    this.terminal.options.fontSize = size;
    this.fit();
  }

  set readOnly(readOnly: boolean) {
    this.terminal.options.disableStdin = readOnly;
    this.terminal.options.cursorBlink = !readOnly;
  }

  #later(): void {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.fit(), SETTLE_MS);
  }

  /** Work out how much there is room for. */
  fit(): void {
    const found = this.#fit.proposeDimensions();
    if (!found || !(found.rows > 0) || !(found.cols > 1) || this.#box.clientHeight === 0) return;
    if (found.rows === this.#room.rows && found.cols === this.#room.cols) return;
    this.#room = { rows: found.rows, cols: found.cols };
    this.#apply();
    this.roomChanged(found.rows, found.cols);
  }

  /** Lines are broken where the shell breaks them: at the session's size, the room or less, never at another one. */
  #apply(): void {
    const { rows, cols } = this.#granted;
    this.#box.dataset["larger"] = String(rows > this.#room.rows || cols > this.#room.cols); // of one who only looks on
    if (rows !== this.terminal.rows || cols !== this.terminal.cols) this.terminal.resize(cols, rows);
  }

  /** Draw by WebGL where there is any; by elements else. */
  async #accelerate(): Promise<void> {
    try {
      const { WebglAddon } = await import("@xterm/addon-webgl");
      const addon = new WebglAddon();
      addon.onContextLoss(() => addon.dispose());
      this.terminal.loadAddon(addon);
    } catch {
      // the elements it has drawn with so far
    }
  }
}

/** Open a link; ask first if it may not be where its text says (OSC 8). */
function follow(address: string, ask: boolean): void {
  if (!/^https?:\/\//i.test(address)) return;
  if (ask && !window.confirm(`Open this address?\n\n${address}`)) return;
  window.open(address, "_blank", "noopener,noreferrer");
}

/** Programs may put text on the clipboard (OSC 52), but never read it: they may not be the user's own. */
const WRITE_ONLY = {
  readText: (_: ClipboardSelectionType) => "",
  writeText: async (_: ClipboardSelectionType, text: string) => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
  },
};
