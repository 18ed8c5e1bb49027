// xterm.js with its AttachAddon: a conversation at URL, and what the screen showed, as JSON.
import headless from "@xterm/headless";
import attach from "@xterm/addon-attach";
import WebSocket from "ws";
import { conversation } from "./conversation.mjs";

const { url, options } = conversation.target;
const socket = new WebSocket(url, options);
const terminal = new headless.Terminal({ cols: 100, rows: 30, allowProposedApi: true });
terminal.loadAddon(new attach.AttachAddon(socket));

const screen = () => {
  const buffer = terminal.buffer.active;
  return Array.from({ length: buffer.length }, (_, row) => buffer.getLine(row).translateToString(true)).join("\n").trimEnd();
};
terminal.onWriteParsed(() => conversation.step(screen(), (text) => terminal.input(text)));
socket.on("close", (code, reason) => terminal.write("", () => conversation.end({ screen: screen(), code, reason: `${reason}` })));
socket.on("error", (error) => conversation.fail(error));
