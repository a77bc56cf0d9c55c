/* The model's side of edgewright.js: calls come in, and go out answered, one after the other. */
import { Core } from "./core.js";

let core;

async function answered(name, values) {
  if (name !== "open") return core.call(name, values);
  core = await Core.open(...values, (progress) => postMessage({ progress }));
  return core.task;
}

onmessage = async ({ data: { number, name, values } }) => {
  try {
    postMessage({ number, value: await answered(name, values) });
  } catch (error) {
    postMessage({ number, error: { code: error.code ?? "engine", message: error.message ?? String(error) } });
  }
};
