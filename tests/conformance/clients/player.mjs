// asciinema-player plays a recording (standard input) to its end in a document without a screen: what it shows then, as JSON.
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<div id=player></div>", { pretendToBeVisual: true });
const names = ["window", "document", "Element", "HTMLElement", "SVGElement", "Node", "MutationObserver", "Event", "getComputedStyle"];
for (const name of [...names, "CustomEvent", "KeyboardEvent", "requestAnimationFrame", "cancelAnimationFrame"]) {
  globalThis[name] ??= window[name];
}
globalThis.ResizeObserver = window.ResizeObserver = class {
  observe() {}
  unobserve() {}
  disconnect() {}
};
const drawing = new Proxy({}, { get: () => () => drawing, set: () => true });
window.HTMLCanvasElement.prototype.getContext = () => drawing;
Object.defineProperty(window.document, "fonts", { value: { load: async () => [], ready: Promise.resolve() } });

const { create } = await import("asciinema-player");
const element = window.document.getElementById("player");
const player = create({ data: readFileSync(0, "utf8") }, element, { autoPlay: true, speed: 100, controls: false, fit: false });
const lines = () => [...element.querySelectorAll(".ap-line")].map((line) => line.textContent.trimEnd());
player.addEventListener("ended", async () => {
  const time = await player.getCurrentTime();
  const frame = () => {
    const style = element.querySelector(".ap-term").style;
    const size = ["--term-cols", "--term-rows"].map((name) => Number(style.getPropertyValue(name)));
    if (size[1] !== lines().length) return window.requestAnimationFrame(frame); // not all of it is drawn
    console.log(JSON.stringify({ time, size, lines: lines() }));
    return process.exit(0);
  };
  window.requestAnimationFrame(frame);
});
setTimeout(() => {
  console.error("it did not end", lines());
  process.exit(1);
}, 60_000);
