/**
 * Tickets: an API key for one, and each for the next one, by `POST <this page>/ticket`.
 *
 * The key is in this object's memory and nowhere else; only a ticket goes to sessionStorage (this tab's own, gone with
 * it), so that a reload needs no key. A ticket is good for this one session and a minute.
 */
export interface Session {
  id: string;
  projectName: string;
  status: "creating" | "running" | "suspended" | "completed" | "failed";
  reason: string | null;
  message: string | null;
  exitCode: number | null;
}

export interface Grant {
  ticket: string;
  scope: string[];
  session: Session;
}

/** The gateway said no, and why (RFC 9457). */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** There is neither a ticket nor a key that is good. */
export class KeyNeeded extends Error {}

const RENEW_MS = 25_000;
const SPARE_MS = 5_000;

export class Tickets {
  #key: string | null = null;
  #ticket: string | null = null;
  #expires = 0;
  #timer: number | undefined;
  readonly #url: string;
  readonly #slot: string;
  /** Called with what each renewal says. */
  renewed: (grant: Grant) => void = () => {};

  constructor(path: string) {
    this.#url = `${path}/ticket`;
    this.#slot = `codesessions.ticket:${path}`;
    try {
      const [ticket, expires] = JSON.parse(sessionStorage.getItem(this.#slot) ?? "[]") as [string?, number?];
      if (typeof ticket === "string" && typeof expires === "number") [this.#ticket, this.#expires] = [ticket, expires];
    } catch {
      // no storage: then a reload asks for the key
    }
  }

  useKey(key: string): void {
    this.forget();
    this.#key = key;
  }

  /** Forget key and ticket. */
  forget(): void {
    this.#key = null;
    this.dropTicket();
  }

  /** The ticket was refused; a key may still be good. */
  dropTicket(): void {
    this.#ticket = null;
    window.clearTimeout(this.#timer);
    try {
      sessionStorage.removeItem(this.#slot);
    } catch {
      // nothing was kept
    }
  }

  /** A fresh ticket. Throws KeyNeeded, Refusal, or TypeError when nobody answers. */
  async obtain(): Promise<Grant> {
    if (this.#ticket !== null && Date.now() < this.#expires - SPARE_MS) {
      try {
        return await this.#ask({ Authorization: `Bearer ${this.#ticket}` });
      } catch (error) {
        if (!(error instanceof Refusal) || error.status !== 401) throw error;
        this.dropTicket();
        if (this.#key === null) throw new KeyNeeded(error.code === "invalid_ticket" ? "" : error.message);
      }
    }
    if (this.#key === null) throw new KeyNeeded("");
    try {
      return await this.#ask({ "X-API-Key": this.#key });
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      this.forget();
      throw new KeyNeeded(error.message);
    }
  }

  /** Whether the key itself is at hand, as the REST API wants it. */
  get hasKey(): boolean {
    return this.#key !== null;
  }

  /**
   * The output of a session that has ended, page by page, if the REST API is at this origin and still has it. The number
   * of chunks it gave; 0 if there are none to be had.
   */
  async transcript(id: string, show: (text: string) => Promise<void>): Promise<number> {
    let after = 0;
    while (this.#key !== null) {
      const answer = await fetch(`/api/v1/code-sessions/${id}/output?afterSeq=${after}`, {
        headers: { "X-API-Key": this.#key },
        cache: "no-store",
        redirect: "error",
      });
      if (!answer.ok || !(answer.headers.get("Content-Type") ?? "").includes("json")) break;
      const page = (await answer.json()) as { chunks: { seq: number; text: string }[]; lastSeq: number };
      for (const chunk of page.chunks) {
        after = chunk.seq;
        await show(chunk.text);
      }
      if (page.chunks.length === 0 || after >= page.lastSeq) break;
    }
    return after;
  }

  async #ask(headers: Record<string, string>): Promise<Grant> {
    const answer = await fetch(this.#url, {
      method: "POST",
      headers,
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(15_000),
    });
    if (!answer.ok) {
      const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
      throw new Refusal(answer.status, problem.code ?? "", problem.detail ?? `The gateway answered ${answer.status}.`);
    }
    const grant = (await answer.json()) as Grant & { expiresIn: number };
    this.#keep(grant.ticket, grant.expiresIn);
    return grant;
  }

  #keep(ticket: string, seconds: number): void {
    this.#ticket = ticket;
    this.#expires = Date.now() + seconds * 1000;
    try {
      sessionStorage.setItem(this.#slot, JSON.stringify([ticket, this.#expires]));
    } catch {
      // no storage: then a reload asks for the key
    }
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#renew(), RENEW_MS);
  }

  /** Renew while the page is open; who fails here is told when a ticket is needed. */
  async #renew(): Promise<void> {
    try {
      this.renewed(await this.obtain());
    } catch {
      if (this.#ticket !== null) this.#timer = window.setTimeout(() => void this.#renew(), RENEW_MS / 5);
    }
  }
}
