/** A session from opening the page to its end: asks for a key, waits, attaches, comes back after a cut. */
import { type Ending, type Hello, Link } from "./link";
import type { Screen } from "./screen";
import { KeyNeeded, Refusal, type Session, Tickets } from "./tickets";
import { Typist } from "./typist";
import * as view from "./view";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;
const POLL_MS = 1500;
const SUSPENDED_POLL_MS = 3000;
/** After so many bytes shown, say so; a quarter of what may be under way. */
const ACKNOWLEDGE_BYTES = 64 << 10;

export class Visit {
  readonly #tickets: Tickets;
  readonly #id: string;
  readonly #typist = new Typist();
  #link: Link | null = null;
  #live = false;
  /** The last chunk that came; null before there was any connection. */
  #after: number | null = null;
  /** Chunks up to here are older than this page. */
  #replayed = 0;
  #wantsOutput = false;
  /** Whether the session has ended: then the screen has a size of its own, since the banner takes room from it. */
  #isOver = false;
  #pause = FIRST_PAUSE_MS;
  #wake: () => void = () => {};
  /** Whether only looking on is possible. */
  readOnlyChanged: (readOnly: boolean) => void = () => {};
  companyChanged: (viewers: number) => void = () => {};
  named: (session: Session) => void = () => {};

  constructor(
    private readonly path: string,
    private readonly role: string | null,
    private readonly screen: Screen,
  ) {
    this.#id = path.split("/").pop() ?? "";
    this.#tickets = new Tickets(path);
    screen.roomChanged = (rows, cols) => (this.#isOver ? screen.granted(rows, cols) : this.#link?.resize(rows, cols));
    screen.typedBytes = (bytes) => this.#live && this.#typist.typeBytes(bytes);
    window.addEventListener("online", () => this.#wake());
    window.addEventListener("offline", () => this.#link?.lost());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake());
  }

  type(text: string): void {
    if (this.#live) this.#typist.type(text);
    else view.say("Not connected: this was not typed.");
  }

  /** Until the session ends. */
  async run(): Promise<void> {
    while (!(await this.#once()));
  }

  /** One try; whether it was the last. */
  async #once(): Promise<boolean> {
    try {
      if (this.#after === null) view.showState("busy", "Connecting");
      const grant = await this.#tickets.obtain();
      this.named(grant.session);
      if (grant.session.status === "running") return await this.#attach(grant.ticket);
      return await this.#notRunning(grant.session);
    } catch (error) {
      if (error instanceof KeyNeeded) await this.#needKey(error.message);
      else if (error instanceof Refusal && error.status < 500 && error.status !== 429) await this.#refused(error.message);
      else await this.#backOff(error instanceof Refusal ? error.message : "The gateway cannot be reached.");
      return false;
    }
  }

  async #needKey(error: string): Promise<void> {
    view.showState("quiet", "Locked");
    this.#tickets.useKey(await view.askKey(this.#id, error));
    view.showState("busy", "Connecting");
  }

  async #refused(words: string): Promise<void> {
    view.showState("bad", "Refused");
    await new Promise<void>((resolve) => {
      view.showPanel("bad", "This terminal does not open", words, "Use another key", resolve);
    });
    this.#tickets.forget();
  }

  async #notRunning(session: Session): Promise<boolean> {
    const words = session.message ?? "";
    switch (session.status) {
      case "creating":
        view.showState("busy", "Creating");
        view.showPanel("busy", "The session is being created", words || "It opens here as soon as it runs.");
        await this.#sleep(POLL_MS);
        return false;
      case "suspended":
        view.showState("quiet", "Suspended");
        view.showPanel("quiet", "The session is suspended", `${words} It opens here when it is resumed.`.trim());
        await this.#sleep(SUSPENDED_POLL_MS);
        return false;
      default:
        return await this.#over(session);
    }
  }

  /** The session has ended. What is on the screen stays there; nothing on it: what is kept of its output can be shown. */
  async #over(session: Session): Promise<boolean> {
    this.#isOver = true;
    const failed = session.status === "failed";
    const tone = failed ? "bad" : "quiet";
    const how = session.exitCode === null ? "" : ` with exit code ${session.exitCode}`;
    const title = failed ? "The session has failed" : `The session has ended${how}`;
    const advice = failed ? "Create a new session once the cause is removed." : "Create a new session to go on.";
    view.showState(tone, failed ? "Failed" : "Completed");
    this.readOnlyChanged(true);
    const words = failed && session.message ? `${session.message} ${advice}` : advice;
    if (this.#after === null && !this.#wantsOutput) {
      await new Promise<void>((resolve) => view.showPanel(tone, title, words, "Show its output", resolve));
      this.#wantsOutput = true;
    }
    if (this.#after === null && !this.#tickets.hasKey) {
      await this.#needKey("");
      return false;
    }
    if (this.#after === null && !(await this.#showOutput(session.id))) {
      view.showPanel(tone, title, `${words} Its output is not kept here.`);
      return true;
    }
    view.hidePanel();
    view.showBanner(tone, `${title}. ${words}`);
    return true;
  }

  /** Show what is kept of a session that has ended; whether there is anything. */
  async #showOutput(id: string): Promise<boolean> {
    view.showPanel("busy", "Reading the output", "");
    this.screen.granted(this.screen.room.rows, this.screen.room.cols);
    const show = (text: string): Promise<void> => new Promise((done) => this.screen.write(text, true, done));
    return (await this.#tickets.transcript(id, show)) > 0;
  }

  async #attach(ticket: string): Promise<boolean> {
    this.#link = this.#open(ticket);
    const ending = await this.#link.ended;
    this.#link = null;
    this.#live = false;
    this.#typist.pause();
    return this.#closed(ending);
  }

  #open(ticket: string): Link {
    let shown = 0;
    const link = new Link(this.path, ticket, this.#after, this.role, this.#typist.name, {
      hello: (hello: Hello) => {
        if (this.#after === null) [this.#after, this.#replayed] = [hello.afterSeq, hello.lastSeq];
        if (hello.truncated) view.say("Some output is gone: it was more than is kept.");
        this.#greeted(hello, link);
      },
      output: (seq, bytes) => {
        this.#after = seq;
        shown += bytes.length;
        const acknowledge = shown >= ACKNOWLEDGE_BYTES;
        if (acknowledge) shown = 0;
        this.screen.write(bytes, seq <= this.#replayed, () => acknowledge && link.acknowledge(seq));
      },
      screen: (text) => this.screen.write(text, true, () => undefined),
      truncated: () => view.say("Some output was skipped."),
      size: (rows, cols) => this.screen.granted(rows, cols),
      viewers: (count) => this.companyChanged(count),
      typed: (inputSeq) => this.#typist.answered(inputSeq),
      refused: (code) => code !== "shell_ended" && view.say("You may only look on here."),
    });
    return link;
  }

  #greeted(hello: Hello, link: Link): void {
    this.#live = true;
    this.#pause = FIRST_PAUSE_MS;
    view.hidePanel();
    view.showBanner("good", "");
    view.showState("good", "Connected");
    this.readOnlyChanged(hello.role === "viewer");
    this.companyChanged(hello.viewers);
    this.#typist.resume(link, hello.inputSeq);
    this.screen.granted(hello.rows, hello.cols);
    if (hello.role === "writer") link.resize(this.screen.room.rows, this.screen.room.cols);
    this.screen.terminal.focus();
  }

  /** What a close code asks for (docs/terminal.md). */
  async #closed(ending: Ending): Promise<boolean> {
    if (ending.exit !== null || (ending.code === 1000 && ending.greeted)) {
      this.#ended(ending);
      return true;
    }
    switch (ending.code) {
      case 4401:
        this.#tickets.dropTicket();
        if (!ending.greeted) await this.#backOff(ending.reason); // a ticket that was just given
        return false;
      case 4403:
      case 4404:
        await this.#refused(ending.reason);
        return false;
      case 4409:
        await this.#sleep(POLL_MS);
        return false;
      case 1003:
      case 1007:
      case 1008:
        view.showState("bad", "Failed");
        view.showPanel("bad", "The terminal was closed", ending.reason, "Reload", () => location.reload());
        return true;
      default:
        await this.#backOff(ending.reason || "The connection was lost.");
        return false;
    }
  }

  #ended(ending: Ending): void {
    this.#isOver = true;
    const exit = ending.exit;
    const how =
      exit?.signal ? `by signal ${exit.signal}` : exit?.code != null ? `with exit code ${exit.code}` : ending.reason;
    view.showState("quiet", "Completed");
    view.showBanner("quiet", `The session has ended ${how}. What it printed stays here until this page is closed.`);
    this.readOnlyChanged(true);
  }

  /** Wait, longer each time, some of it by chance; less if the network comes back. */
  async #backOff(why: string): Promise<void> {
    const wait = this.#pause * (0.75 + Math.random() / 2);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    view.showState("bad", navigator.onLine ? "Reconnecting" : "Offline", why);
    if (this.#after === null) view.showPanel("busy", "Waiting for the gateway", why, "Try now", () => this.#wake());
    else view.showBanner("bad", `${why} Trying again; what you type now is not sent.`);
    await this.#sleep(wait);
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = window.setTimeout(resolve, milliseconds);
      this.#wake = () => {
        window.clearTimeout(timer);
        resolve();
      };
    });
  }
}
