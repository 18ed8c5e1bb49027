// JupyterLab's own terminal connection (@jupyterlab/services); only the address is ours.
import services from "@jupyterlab/services";
import WebSocket from "ws";
import { conversation } from "./conversation.mjs";

const { url, options } = conversation.target;
let closed = {};
class Socket extends WebSocket {
  constructor() {
    super(url, options);
    this.on("close", (code, reason) => { closed = { code, reason: `${reason}` }; });
    this.on("error", (error) => conversation.fail(error));
  }
}
const settings = services.ServerConnection.makeSettings({ baseUrl: "http://x/", wsUrl: "ws://x/", WebSocket: Socket });
const manager = new services.TerminalManager({ serverSettings: settings });
const terminal = manager.connectTo({ model: { name: "1" } });
terminal.send({ type: "set_size", content: [30, 100, 0, 0] });
let screen = "";
terminal.messageReceived.connect((_, message) => {
  if (message.type === "stdout") {
    screen += message.content[0];
    conversation.step(screen, (text) => terminal.send({ type: "stdin", content: [text] }));
  }
});
terminal.disposed.connect(() => setTimeout(() => conversation.end({ screen, disposed: true, ...closed }), 200));
