/**
 * Whether a text is a terminal's answer to a query (device attributes, cursor position, mode and colour reports; ECMA-48
 * and xterm's control sequences), not a key. Queries that are only replayed were answered long ago: an answer now would
 * be typed into the shell.
 */
export function isReply(text: string): boolean {
  // eslint-disable-next-line no-control-regex
  return /^(\x1b\[[?>=]?[\d;]*(c|n|R|t|\$y)|\x1bP[^]*\x1b\\|\x1b\][^]*(\x07|\x1b\\))+$/.test(text);
}
