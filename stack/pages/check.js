// What JupyterLab needs of a participant's browser and network, tried from where they sit. Nothing
// is kept or sent. Written so that browsers too old for Lab can still say so.
"use strict";
const PATIENCE = 10000; // ms
const byId = (id) => document.getElementById(id);
const now = () => performance.now();
const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];

const inTime = (promise) => Promise.race([
  promise,
  new Promise((_, no) => setTimeout(() => no(Error("no answer")), PATIENCE)),
]);

function modern() { // Lab's scripts have `static {}`: Chrome 94, Firefox 93, Safari 16.4
  new RegExp("(?<=a)b"); // an error in an older Safari
  return Boolean(window.structuredClone && Object.hasOwn);
}

function cookies() {
  document.cookie = "check=1; path=/check; SameSite=Lax; Secure";
  const kept = document.cookie.includes("check=1");
  document.cookie = "check=; path=/check; max-age=0";
  return kept;
}

function storage() {
  localStorage.setItem("check", "1");
  localStorage.removeItem("check");
  return new Promise((yes, no) => {
    const asked = indexedDB.open("check");
    asked.onerror = no;
    asked.onsuccess = () => {
      asked.result.close();
      indexedDB.deleteDatabase("check");
      yes(true);
    };
  });
}

async function download() { // Mbit/s, through everything that Lab's own files pass
  const start = now();
  const answer = await fetch("/hub/check/bytes", { cache: "no-store" });
  if (!answer.ok) throw Error(answer.status);
  const bytes = (await answer.arrayBuffer()).byteLength;
  return bytes / 125 / (now() - start);
}

function echo() { // ms there and back, through everything that a kernel's connection passes
  return new Promise((yes, no) => {
    const socket = new WebSocket("wss://" + location.host + "/hub/check/echo");
    const times = [];
    let sent;
    const send = () => socket.send(String(sent = now()));
    socket.onopen = send;
    socket.onerror = socket.onclose = no;
    socket.onmessage = (event) => {
      if (event.data !== String(sent)) return no();
      if (times.push(now() - sent) < 5) return send();
      yes(median(times));
      socket.close();
    };
    setTimeout(() => socket.close(), PATIENCE);
  });
}

const attempt = async (what) => {
  try {
    return await inTime(Promise.resolve().then(what));
  } catch (error) {
    return false;
  }
};

// The first line that is true is the answer.
const ANSWERS = [
  [(r) => !r.modern, "This browser is too old. Update it, or use a current Firefox, Chrome, Edge or Safari."],
  [(r) => !r.cookies || !r.storage, "This browser keeps no cookies or data for this site. Allow them, or use a normal instead of a private window."],
  [(r) => !r.download && !r.echo, "The workshop does not answer: it may still be starting. Check again in some minutes, then tell the organiser."],
  [(r) => !r.echo, "This network blocks WebSockets, which notebooks need. Ask the organiser to have them allowed for " + location.host + ". Try your phone’s hotspot; a VPN or security software on this computer may be what blocks them."],
  [(r) => !r.download, "Downloads from the workshop fail. Check again, then tell the organiser."],
  [(r) => r.download < 1 || r.echo > 500, "This computer and network are ready, but slow: the first page may take minutes. A cable, another place in the room or your phone’s hotspot may be quicker."],
  [() => true, "This computer and network are ready."],
];
const WORDS = [
  ["Browser", (r) => (r.modern ? "current enough" : "too old")],
  ["Cookies", (r) => (r.cookies ? "yes" : "refused")],
  ["Storage", (r) => (r.storage ? "yes" : "refused")],
  ["Connection", (r) => "HTTPS, " + r.protocol],
  ["WebSocket", (r) => (r.echo ? "yes, " + Math.ceil(r.echo) + " ms" : "no")],
  ["Download", (r) => (r.download ? r.download.toFixed(r.download < 10 ? 1 : 0) + " Mbit/s" : "failed")],
];

async function check() {
  const result = {
    modern: await attempt(modern),
    cookies: await attempt(cookies),
    storage: await attempt(storage),
    echo: await attempt(echo),
    download: await attempt(download),
    protocol: (performance.getEntriesByType("navigation")[0] || {}).nextHopProtocol || "unknown",
  };
  const number = ANSWERS.findIndex((line) => line[0](result));
  const answer = byId("answer");
  answer.textContent = ANSWERS[number][1];
  answer.className = number < ANSWERS.length - 2 ? "bad" : "good";
  const body = document.querySelector("tbody");
  for (const line of WORDS) {
    const row = body.insertRow();
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.textContent = line[0];
    row.insertCell().textContent = line[1](result);
  }
  for (const hidden of document.querySelectorAll("[hidden]")) hidden.hidden = false;
}

byId("again").onclick = () => location.reload();
byId("copy").onclick = async () => {
  const rows = Array.from(document.querySelectorAll("tr"), (row) => row.cells[0].textContent + ": " + row.cells[1].textContent);
  const text = [byId("answer").textContent, location.host, new Date().toISOString(), ...rows, navigator.userAgent].join("\n");
  const copied = await attempt(() => navigator.clipboard.writeText(text).then(() => true));
  byId("copy").textContent = copied ? "Copied" : "Not allowed to copy: take a picture";
};
check();
