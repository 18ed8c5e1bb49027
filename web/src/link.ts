/** One WebSocket of `codesessions.v1` (docs/terminal.md), from its opening to its close. */
export interface Hello {
  afterSeq: number;
  lastSeq: number;
  oldestSeq: number;
  truncated: boolean;
  rows: number;
  cols: number;
  role: "writer" | "viewer";
  viewers: number;
  /** The highest number of this page's input that was taken. */
  inputSeq: number;
}

export interface Ending {
  code: number;
  reason: string;
  /** Whether the session greeted us before. */
  greeted: boolean;
  exit: { code: number | null; signal: number | null } | null;
}

/** What a link tells. */
export interface Listener {
  hello(hello: Hello): void;
  output(seq: number, bytes: Uint8Array): void;
  screen(text: string): void;
  truncated(): void;
  size(rows: number, cols: number): void;
  viewers(count: number): void;
  typed(inputSeq: number): void;
  refused(code: string): void;
}

/** Bytes that may be under way: what is stale after Ctrl-C, and all that a slow page ever has to hold. */
const WINDOW = 256 << 10;
const PING_MS = 15_000;
const SILENCE_MS = 10_000;

export class Link {
  #socket: WebSocket;
  #exit: Ending["exit"] = null;
  #greeted = false;
  #timer: number | undefined;
  #end: (ending: Ending) => void = () => {};
  readonly ended: Promise<Ending>;

  constructor(
    path: string,
    ticket: string,
    after: number | null,
    role: string | null,
    writer: string,
    private readonly listener: Listener,
  ) {
    const query = new URLSearchParams({ window: String(WINDOW), raw: "binary", writer });
    if (after !== null) query.set("afterSeq", String(after));
    if (role !== null) query.set("role", role);
    const origin = location.origin.replace(/^http/, "ws");
    this.#socket = new WebSocket(`${origin}${path}?${query}`, ["codesessions.v1", `ticket.codesessions.dev.${ticket}`]);
    this.#socket.binaryType = "arraybuffer";
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#socket.onopen = () => this.#heard();
    this.#socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#take(event.data);
    this.#socket.onclose = (event) => this.#over(event.code, event.reason);
    this.#timer = window.setTimeout(() => this.lost(), PING_MS);
  }

  input(piece: { inputSeq: number }): void {
    this.#tell({ type: "input", ...piece });
  }

  resize(rows: number, cols: number): void {
    this.#tell({ type: "resize", rows, cols });
  }

  acknowledge(seq: number): void {
    this.#tell({ type: "ack", seq });
  }

  /** Nothing comes any more: do not wait for the other side to answer a close. */
  lost(): void {
    this.#socket.onmessage = this.#socket.onclose = this.#socket.onopen = null;
    this.#socket.close();
    this.#over(1006, "");
  }

  #tell(message: object): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #over(code: number, reason: string): void {
    window.clearTimeout(this.#timer);
    this.#end({ code, reason, greeted: this.#greeted, exit: this.#exit });
  }

  /** After a while without a word ask for one; after another take the line for dead. */
  #heard(): void {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      this.#tell({ type: "ping" });
      this.#timer = window.setTimeout(() => this.lost(), SILENCE_MS);
    }, PING_MS);
  }

  #take(data: string | ArrayBuffer): void {
    this.#heard();
    if (typeof data !== "string") {
      const seq = Number(new DataView(data).getBigUint64(0));
      this.listener.output(seq, new Uint8Array(data, 8));
      return;
    }
    const message = JSON.parse(data) as { type: string } & Record<string, never>;
    switch (message.type) {
      case "hello":
        this.#greeted = true;
        this.listener.hello(message as unknown as Hello);
        break;
      case "screen":
        this.listener.screen(message["text"] ?? "");
        break;
      case "truncated":
        this.listener.truncated();
        break;
      case "size":
        this.listener.size(message["rows"] ?? 24, message["cols"] ?? 80);
        break;
      case "viewers":
        this.listener.viewers(message["viewers"] ?? 1);
        break;
      case "typed":
        this.listener.typed(message["inputSeq"] ?? 0);
        break;
      case "error":
        if (message["inputSeq"] !== undefined) this.listener.typed(message["inputSeq"]);
        this.listener.refused(message["code"] ?? "");
        break;
      case "exit":
        this.#exit = message as unknown as Ending["exit"];
        break;
    }
  }
}
