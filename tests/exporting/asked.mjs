/* Opens an exported model and makes calls; what each gives, or its error, as JSON.
 *
 * Standard input: {"module": address of edgewright.js, "model": its directory, "options": of open, "calls": [[name, ...values], ...]}.
 * All calls are made at once, as a hasty page does; "wait" waits for those before it, "reopen" visits again,
 * "starve" takes the memory away, and "stream" gives pieces, up to as many as `leave` says, and what came of the answer. */
import { readFileSync } from "node:fs";
import v8 from "node:v8";

const { module, model, options, calls } = JSON.parse(readFileSync(0, "utf8"));
const { Edgewright } = await import(module);

const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const told = (error) => ({ error: error.code, why: error.message, kind: error.name });

/* The addresses that a second visit asks for. */
async function reopened() {
  globalThis.fetched.length = 0;
  (await Edgewright.open(model, options)).close();
  return globalThis.fetched.map((url) => url.slice(url.lastIndexOf("/") + 1));
}

async function streamed(asked, { leave, abort, ...settings } = {}) {
  const pieces = [];
  if (settings.seed) settings.seed = BigInt(settings.seed); // JSON has no such numbers
  const end = new AbortController();
  if (abort === 0) end.abort();
  for await (const piece of opened.stream(asked, { ...settings, signal: end.signal })) {
    pieces.push(piece);
    if (pieces.length === leave) break;
    if (pieces.length === abort) end.abort();
  }
  return { pieces, last: opened.last };
}

let opened;
const seen = [];
try {
  opened = await Edgewright.open(model, { ...options, progress: (at) => seen.push(at) });
} catch (error) {
  console.log(JSON.stringify({ open: told(error) }));
  process.exit(0);
}
const answers = [];
for (const [name, ...values] of calls) {
  if (name === "wait") await Promise.all(answers);
  else if (name === "reopen") answers.push(await reopened());
  else if (name === "starve") v8.setFlagsFromString("--wasm-max-mem-pages=64"); // 4 MiB, which are taken already
  else if (name === "stream") answers.push(streamed(...values).catch(told));
  else if (name === "close") answers.push(opened.close() ?? null);
  else answers.push(opened[name](...values).catch(told));
}
const found = await Promise.all(answers);
console.log(JSON.stringify({ task: opened.task, chats: opened.chats, progress: seen.at(-1), answers: found }, plain));
process.exit(0);
