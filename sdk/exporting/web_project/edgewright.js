/* A model that answers texts in a page: what `edgewright export web` wrote, opened and asked. See edgewright.d.ts.
 *
 *     import { Edgewright } from "./edgewright.js";
 *     const model = await Edgewright.open("./model/");
 *     console.log(await model.run("a charming and often affecting journey"));
 *     model.close();
 *
 * The model is in a worker, so that the page stays quick while it thinks. Nothing is fetched but files beside this one
 * and the model's. */
import { EdgewrightError } from "./errors.js";

export { EdgewrightError };

export class Edgewright {
  #call; // to the model, in a worker or here: (name, values) => a promise of what it gives
  #end; // of the worker
  #closed = false;

  constructor(call, end, task) {
    this.#call = call;
    this.#end = end;
    this.task = task;
  }

  static async open(model, { progress, cache = true, threads = 1, worker = true } = {}) {
    const url = new URL(model.endsWith("/") ? model : `${model}/`, globalThis.document?.baseURI ?? import.meta.url).href;
    const options = { cache, threads };
    return worker ? inWorker(url, options, progress) : here(url, options, progress);
  }

  run(item, options = {}) {
    return this.#ask("run", [item, options]);
  }

  encode(text, pair) {
    return this.#ask("encode", [text, pair]);
  }

  check() {
    return this.#ask("check", []);
  }

  close() {
    this.#closed = true;
    this.#end();
  }

  /* Offsets count characters as Python does, and JavaScript's strings count half of some. */
  static slice(text, start, end) {
    return Array.from(text).slice(start, end).join("");
  }

  async #ask(name, values) {
    if (this.#closed) throw closed();
    return this.#call(name, values);
  }
}

function closed() {
  return new EdgewrightError("closed", "the model is closed; open it again");
}

/* In the page's own thread, which stands still while the model thinks. */
async function here(url, options, progress) {
  const { Core } = await import("./core.js");
  const core = await Core.open(url, options, progress);
  return new Edgewright((name, values) => core.call(name, values), () => core.close(), core.task);
}

async function inWorker(url, options, progress) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "edgewright" });
  const waiting = new Map(); // the calls that have no answer yet, by their numbers
  let last = 0;
  const fail = (error) => {
    waiting.forEach((one) => one.reject(error));
    waiting.clear();
  };
  const end = () => {
    worker.terminate();
    fail(closed());
  };
  const call = (name, values) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      try {
        worker.postMessage({ number: last, name, values });
      } catch (error) {
        waiting.delete(last);
        reject(new EdgewrightError("argument", `this cannot be sent to the worker: ${error.message}`));
      }
    });
  worker.onmessage = ({ data }) => {
    if (data.progress) return progress?.(data.progress);
    const one = waiting.get(data.number);
    waiting.delete(data.number);
    if (data.error) one?.reject(new EdgewrightError(data.error.code, data.error.message));
    else one?.resolve(data.value);
  };
  worker.onerror = (event) => {
    event.preventDefault?.();
    fail(new EdgewrightError("unsupported", `the worker does not start: ${event.message || "is worker.js beside edgewright.js?"}`));
  };
  try {
    const task = await call("open", [url, options]);
    return new Edgewright(call, end, task);
  } catch (error) {
    worker.terminate();
    throw error;
  }
}
