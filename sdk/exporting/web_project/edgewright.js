/* A model that answers, writes or translates texts in a page: what `edgewright export web` wrote, opened and asked. See edgewright.d.ts.
 *
 *     import { Edgewright } from "./edgewright.js";
 *     const model = await Edgewright.open("./model/");
 *     console.log(await model.run("a charming and often affecting journey"));
 *     for await (const piece of writer.stream("Once upon a time")) console.log(piece); // of one that writes or translates
 *     model.close();
 *
 * The model is in a worker, so that the page stays quick while it thinks. Nothing is fetched but files beside this one
 * and the model's. */
import { closed, EdgewrightError } from "./errors.js";

export { EdgewrightError };

export class Edgewright {
  #call; // to the model, in a worker or here: (name, values, {piece, signal}) => a promise of what it gives
  #end; // of the worker
  #closed = false;

  last = null; // what came of the last answer that was written

  constructor(call, end, { task, chats }) {
    this.#call = call;
    this.#end = end;
    this.task = task;
    this.chats = chats;
  }

  static async open(model, { progress, cache = true, threads = 1, worker = true } = {}) {
    const url = new URL(model.endsWith("/") ? model : `${model}/`, globalThis.document?.baseURI ?? import.meta.url).href;
    const options = { cache, threads };
    return worker ? inWorker(url, options, progress) : here(url, options, progress);
  }

  run(item, options = {}) {
    return this.#ask("run", [item, options]);
  }

  /* Pieces of an answer, as they are written. Leaving the loop ends it, and so does the signal. */
  async *stream(asked, { signal, ...settings } = {}) {
    const end = new AbortController();
    const stop = () => end.abort();
    signal?.addEventListener("abort", stop, { signal: end.signal });
    const pieces = [];
    let wake;
    let over = false;
    const piece = (one) => {
      pieces.push(one);
      wake?.();
    };
    const answer = this.#ask("stream", [asked, settings], { piece, signal: end.signal });
    const ended = () => {
      over = true;
      wake?.();
    };
    answer.then(ended, ended);
    if (signal?.aborted) stop();
    try {
      while (pieces.length || !over) {
        if (pieces.length) yield pieces.shift();
        else await new Promise((go) => { wake = go; });
      }
    } finally {
      stop();
      this.last = await answer;
    }
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

  async #ask(name, values, ways) {
    if (this.#closed) throw closed();
    return this.#call(name, values, ways);
  }
}

/* In the page's own thread, which stands still while the model thinks. */
async function here(url, options, progress) {
  const { Core } = await import("./core.js");
  const core = await Core.open(url, options, progress);
  return new Edgewright((...call) => core.call(...call), () => core.close(), core);
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
  const call = (name, values, { piece, signal } = {}) =>
    new Promise((resolve, reject) => {
      const number = ++last;
      waiting.set(number, { resolve, reject, piece });
      signal?.addEventListener("abort", () => worker.postMessage({ number, name: "stop" }));
      try {
        worker.postMessage({ number, name, values });
      } catch (error) {
        waiting.delete(number);
        reject(new EdgewrightError("argument", `this cannot be sent to the worker: ${error.message}`));
      }
    });
  worker.onmessage = ({ data }) => {
    if (data.progress) return progress?.(data.progress);
    const one = waiting.get(data.number);
    if (data.piece !== undefined) return one?.piece(data.piece);
    waiting.delete(data.number);
    if (data.error) one?.reject(new EdgewrightError(data.error.code, data.error.message));
    else one?.resolve(data.value);
  };
  worker.onerror = (event) => {
    event.preventDefault?.();
    fail(new EdgewrightError("unsupported", `the worker does not start: ${event.message || "is worker.js beside edgewright.js?"}`));
  };
  try {
    return new Edgewright(call, end, await call("open", [url, options]));
  } catch (error) {
    worker.terminate();
    throw error;
  }
}
