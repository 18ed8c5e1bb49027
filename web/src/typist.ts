/**
 * Typing that happens once. Each piece has a number of this page's own (`writer`, `inputSeq`; docs/terminal.md) and is kept
 * until it is answered: after a cut what the session had not taken is sent again, in order, and what it had is not.
 */
import type { Link } from "./link";

const LONGEST = 64 << 10;

type Piece = { inputSeq: number } & ({ text: string } | { data: string });

export class Typist {
  /** Whose numbers they are. */
  readonly name = `web-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  #last = 0;
  #waiting: Piece[] = [];
  #link: Link | null = null;

  type(text: string): void {
    for (let start = 0; start < text.length; ) {
      let end = Math.min(start + LONGEST, text.length);
      const last = text.charCodeAt(end - 1);
      if (end < text.length && last >= 0xd800 && last < 0xdc00) end -= 1; // a pair of surrogates stays together
      this.#send({ inputSeq: (this.#last += 1), text: text.slice(start, end) });
      start = end;
    }
  }

  /** Bytes, one a character. */
  typeBytes(bytes: string): void {
    this.#send({ inputSeq: (this.#last += 1), data: btoa(bytes) });
  }

  /** The session has dealt with everything up to this number. */
  answered(inputSeq: number): void {
    this.#waiting = this.#waiting.filter((piece) => piece.inputSeq > inputSeq);
  }

  /** A new connection, where everything up to this number was taken. */
  resume(link: Link, inputSeq: number): void {
    this.#link = link;
    this.answered(inputSeq);
    for (const piece of this.#waiting) link.input(piece);
  }

  /** The connection is gone. */
  pause(): void {
    this.#link = null;
  }

  #send(piece: Piece): void {
    this.#waiting.push(piece);
    this.#link?.input(piece);
  }
}
