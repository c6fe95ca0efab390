// What the pages gain when scripts run; every one of them works without.
// The theme switch is Django admin's own theme.js, so that one choice serves both.
"use strict";

const SHORTCUTS = "shortcuts"; // localStorage: "off" once someone has switched single keys off

const rows = () => [...document.querySelectorAll("tr[data-row]")];
const currentRow = () => document.activeElement?.closest("tr[data-row]");

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage may be forbidden; then defaults hold
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // kept for this page only
  }
}

function moveRow(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(currentRow());
  const next = at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1);
  all[next].focus();
}

function openDialog(id) {
  const dialog = document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement)) return false;
  if (!dialog.open) dialog.showModal();
  return true;
}

function clickInRow(selector) {
  currentRow()?.querySelector(selector)?.click();
}

const KEYS = {
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => openDialog("help"),
  j: () => moveRow(1),
  k: () => moveRow(-1),
  x: () => clickInRow("[data-pick]"),
  r: () => clickInRow("[data-refetch]"),
  o: () => clickInRow("[data-open]"),
};

function onKey(event) {
  if (event.key === "Escape") closeMenus(event);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (stored(SHORTCUTS) === "off" || document.querySelector("dialog[open]")) return;
  const typing = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";
  if (event.target.closest(typing) || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function onClick(event) {
  closeMenus(event);
  const opener = event.target.closest("[data-dialog]");
  if (opener && !event.ctrlKey && !event.metaKey && openDialog(opener.dataset.dialog)) {
    event.preventDefault(); // without the dialog the link leads to the page that asks the same
  }
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (event.key !== "Escape" && menu.contains(event.target)) continue;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
}

function countPicked() {
  const boxes = [...document.querySelectorAll("[data-pick]")];
  const picked = boxes.filter((box) => box.checked).length;
  const all = document.querySelector("[data-pick-all]");
  if (all) {
    all.checked = picked > 0 && picked === boxes.length;
    all.indeterminate = picked > 0 && picked < boxes.length;
  }
  for (const place of document.querySelectorAll("[data-picked]")) {
    place.textContent = picked ? `${picked} selected` : "";
  }
}

function onChange(event) {
  if (event.target.matches("[data-pick-all]")) {
    for (const box of document.querySelectorAll("[data-pick]")) box.checked = event.target.checked;
  }
  if (event.target.matches("[data-pick-all], [data-pick]")) countPicked();
  if (event.target.matches("[data-shortcuts]")) {
    store(SHORTCUTS, event.target.checked ? "on" : "off");
  }
}

// A request about several ticked rows is asked for first, in the dialog that its button names.
function askFirst(event) {
  const dialog = document.getElementById(event.target.dataset.ask ?? "");
  const picked = document.querySelectorAll("[data-pick]:checked").length;
  if (!(dialog instanceof HTMLDialogElement) || picked < 2) return;
  event.preventDefault();
  dialog.querySelector("[data-count]").textContent = picked;
  dialog.returnValue = "";
  const answered = () => dialog.returnValue === "yes" && event.detail.issueRequest(true);
  dialog.addEventListener("close", answered, { once: true });
  dialog.showModal();
}

let left = ""; // the id of a row that is being replaced while something in it has the focus

function rememberFocus(event) {
  const row = currentRow();
  left = row && event.detail.target.contains(row) ? row.id : "";
}

function restoreFocus() {
  if (left && document.activeElement === document.body) document.getElementById(left)?.focus();
  left = "";
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
document.addEventListener("change", onChange);
document.addEventListener("htmx:confirm", askFirst);
document.addEventListener("htmx:beforeSwap", rememberFocus);
document.addEventListener("htmx:afterSettle", restoreFocus);
document.addEventListener("htmx:afterSettle", countPicked);
window.addEventListener("pageshow", countPicked); // the back button brings ticked boxes back
for (const box of document.querySelectorAll("[data-shortcuts]")) {
  box.checked = stored(SHORTCUTS) !== "off";
}
