/* The model's side of edgewright.js: calls come in, and go out answered, one after the other. */
import { Core } from "./core.js";

let core;
const writing = new Map(); // what ends an answer that is written, or waits to be, by its number

async function answered(number, name, values) {
  if (name === "open") {
    core = await Core.open(...values, (progress) => postMessage({ progress }));
    return { task: core.task, chats: core.chats };
  }
  const end = new AbortController();
  writing.set(number, end);
  try {
    return await core.call(name, values, { piece: (piece) => postMessage({ number, piece }), signal: end.signal });
  } finally {
    writing.delete(number);
  }
}

onmessage = async ({ data: { number, name, values } }) => {
  if (name === "stop") return writing.get(number)?.abort();
  try {
    postMessage({ number, value: await answered(number, name, values) });
  } catch (error) {
    postMessage({ number, error: { code: error.code ?? "engine", message: error.message ?? String(error) } });
  }
};
