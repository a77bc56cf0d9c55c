/* What a page has and node has not: local addresses to fetch, a cache, workers that have a page's names.
 *
 *     node --import page.mjs asked.mjs
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

globalThis.fetched = []; // every address that was asked for

globalThis.fetch = async (url) => {
  globalThis.fetched.push(String(url));
  try {
    return new Response(await readFile(fileURLToPath(String(url).split("?")[0])));
  } catch {
    return new Response("", { status: 404 });
  }
};

class PageWorker {
  constructor(url) {
    this.worker = new Worker(url);
    this.worker.on("message", (data) => this.onmessage({ data }));
    this.worker.on("error", (error) => this.onerror({ message: error.message }));
  }
  postMessage(data) {
    this.worker.postMessage(data);
  }
  terminate() {
    this.worker.terminate();
  }
}

if (isMainThread) {
  globalThis.Worker = PageWorker;
} else {
  globalThis.postMessage = (data) => parentPort.postMessage(data);
  Object.defineProperty(globalThis, "onmessage", { set: (take) => parentPort.on("message", (data) => take({ data })) });
}

/* The browser's Cache API, as far as it is used. */
class Cache {
  kept = new Map();
  async match(url) {
    return this.kept.get(String(url))?.clone();
  }
  async put(url, answer) {
    this.kept.set(String(url), answer);
  }
  async delete(url) {
    for (const key of this.kept.keys()) if (key.split("?")[0] === url) this.kept.delete(key);
  }
}
const cache = new Cache();
globalThis.caches = { open: async () => cache };

if (process.env.OLD_BROWSER) WebAssembly.validate = () => false;
