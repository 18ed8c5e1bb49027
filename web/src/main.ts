/** The page: puts the parts together. */
import "./policy";
import "./style.css";
import { at } from "./dom";
import * as find from "./find";
import { KeyRow } from "./keys";
import * as preferences from "./preferences";
import { Screen } from "./screen";
import { Visit } from "./session";
import { say } from "./view";

const chosen = preferences.load();
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = (): boolean => (chosen.theme === "auto" ? systemDark.matches : chosen.theme === "dark");

const screen = new Screen(at("screen", HTMLElement), { fontSize: chosen.fontSize, reader: chosen.reader, dark: isDark() });
const keyRow = at("keys", HTMLElement);
const keys = new KeyRow(keyRow, screen.terminal);
const role = new URLSearchParams(location.search).get("role") === "viewer" ? "viewer" : null;
const visit = new Visit(location.pathname, role, screen);
const openFind = find.wire(screen);
const title = at("title", HTMLElement);
let project = "";

screen.typed = (text) => visit.type(keys.applied(text));
screen.terminal.onTitleChange((text) => showTitle(text));
visit.named = (session) => {
  if (project !== "") return;
  project = session.projectName || session.id;
  showTitle("");
};
visit.readOnlyChanged = (readOnly) => {
  screen.readOnly = readOnly;
  at("read-only", HTMLElement).hidden = !readOnly;
};
visit.companyChanged = (viewers) => {
  const badge = at("company", HTMLElement);
  badge.hidden = viewers < 2;
  badge.textContent = `${viewers} here`;
};

function showTitle(text: string): void {
  const shown = text.slice(0, 200) || project;
  title.textContent = shown;
  document.title = shown === project ? project : `${shown} · ${project}`;
}

// -- settings

const menu = at("menu", HTMLElement);
const menuButton = at("open-menu", HTMLButtonElement);

function toggleMenu(open: boolean): void {
  menu.hidden = !open;
  menuButton.setAttribute("aria-expanded", String(open));
  if (open) menu.querySelector("button")?.focus();
}

function apply(): void {
  document.documentElement.dataset["theme"] = isDark() ? "dark" : "light";
  screen.dark = isDark();
  keyRow.hidden = !(chosen.keys ?? window.matchMedia("(pointer: coarse)").matches);
  at("theme", HTMLSelectElement).value = chosen.theme;
  at("reader", HTMLInputElement).checked = chosen.reader;
  at("show-keys", HTMLInputElement).checked = !keyRow.hidden;
}

function changeFont(by: number): void {
  chosen.fontSize = Math.min(preferences.LARGEST, Math.max(preferences.SMALLEST, chosen.fontSize + by));
  screen.fontSize = chosen.fontSize;
  preferences.save(chosen);
}

async function copy(): Promise<void> {
  toggleMenu(false);
  screen.terminal.focus();
  const text = screen.terminal.getSelection();
  if (text === "") say("Nothing is selected.");
  else await navigator.clipboard.writeText(text).then(() => say("Copied."), () => say("The browser does not let me copy."));
}

async function paste(): Promise<void> {
  toggleMenu(false);
  screen.terminal.focus();
  try {
    screen.terminal.paste(await navigator.clipboard.readText());
  } catch {
    say("The browser does not let me read the clipboard: use its own paste.");
  }
}

menuButton.addEventListener("click", () => toggleMenu(menu.hidden !== false));
document.addEventListener("pointerdown", (event) => {
  const target = event.target as Node;
  if (!menu.hidden && !menu.contains(target) && !menuButton.contains(target)) toggleMenu(false);
});
menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  toggleMenu(false);
  menuButton.focus();
});
at("open-find", HTMLButtonElement).addEventListener("click", openFind);
at("smaller", HTMLButtonElement).addEventListener("click", () => changeFont(-1));
at("larger", HTMLButtonElement).addEventListener("click", () => changeFont(1));
at("copy", HTMLButtonElement).addEventListener("click", () => void copy());
at("paste", HTMLButtonElement).addEventListener("click", () => void paste());
at("theme", HTMLSelectElement).addEventListener("change", (event) => {
  chosen.theme = (event.target as HTMLSelectElement).value as typeof chosen.theme;
  preferences.save(chosen);
  apply();
});
at("reader", HTMLInputElement).addEventListener("change", (event) => {
  screen.reader = chosen.reader = (event.target as HTMLInputElement).checked;
  preferences.save(chosen);
});
at("show-keys", HTMLInputElement).addEventListener("change", (event) => {
  chosen.keys = (event.target as HTMLInputElement).checked;
  preferences.save(chosen);
  apply();
});
systemDark.addEventListener("change", apply);

// -- shortcuts, which work wherever the focus is

document.addEventListener(
  "keydown",
  (event) => {
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return;
    const act = { KeyF: openFind, KeyC: () => void copy() }[event.code];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  },
  { capture: true },
);

// On iOS the keyboard lies over the page: what is left above it is all the room there is.
const visible = window.visualViewport;
visible?.addEventListener("resize", () => {
  document.documentElement.style.setProperty("--height", `${visible.height}px`);
});

apply();
await visit.run();
