/* Files of an exported directory by its files.json: fetched with progress, joined, held against their hashes, cached. */
import { EdgewrightError } from "./errors.js";

const VERSION = 1; // of files.json
const CACHE = "edgewright";

const asset = (message) => new EdgewrightError("asset", message);

/* The browser's cache where there is one: not over plain HTTP, and some private windows refuse. */
async function opened(wanted) {
  try {
    return wanted && globalThis.caches ? await caches.open(CACHE) : null;
  } catch {
    return null;
  }
}

async function fetched(url, options) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    throw asset(`${url}: it cannot be fetched: ${error.message}`);
  }
  if (!answer.ok) throw asset(`${url}: the server answers ${answer.status}`);
  return answer;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/* "" where the bytes are what was exported. Hashes need a secure context (HTTPS, localhost); sizes do not. */
async function wrong(part, bytes) {
  if (bytes.length !== part.bytes) return `${bytes.length} bytes instead of ${part.bytes}`;
  if (globalThis.crypto?.subtle && (await sha256(bytes)) !== part.sha256) return "other bytes than were exported";
  return "";
}

async function read(answer, part, arrived) {
  if (!answer.body) return new Uint8Array(await answer.arrayBuffer());
  const bytes = new Uint8Array(part.bytes);
  const reader = answer.body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes.subarray(0, at);
    if (at + value.length > bytes.length) {
      await reader.cancel();
      return new Uint8Array(at + value.length); // too long: the sizes say so
    }
    bytes.set(value, at);
    at += value.length;
    arrived(value.length);
  }
}

export class Files {
  constructor(base, listed, cache, progress) {
    this.base = base;
    this.listed = listed;
    this.cache = cache;
    this.progress = progress;
  }

  /* The list of a directory: the newest one, and without a network the one of the last visit. */
  static async of(base, wantsCache, progress) {
    const url = new URL("files.json", base).href;
    const cache = await opened(wantsCache);
    let text;
    try {
      text = await (await fetched(url, { cache: "no-cache" })).text();
    } catch (error) {
      const kept = await cache?.match(url);
      if (!kept) throw error;
      text = await kept.text();
    }
    let list;
    try {
      list = JSON.parse(text);
    } catch {
      list = null;
    }
    if (!list?.files || list.edgewright === undefined) throw asset(`${url} is not the list of an exported model`);
    if (list.edgewright !== VERSION) {
      throw asset(`${url} is of version ${list.edgewright}, and this edgewright.js reads ${VERSION}: export both anew`);
    }
    await cache?.put(url, new Response(text)).catch(() => {});
    return new Files(base, list.files, cache, progress);
  }

  get bytes() {
    return Object.values(this.listed).flat().reduce((sum, part) => sum + part.bytes, 0);
  }

  /* A file whole, from its parts. */
  async get(name) {
    const parts = this.listed[name];
    if (!parts) throw asset(`${this.base}files.json names no ${name}`);
    if (parts.length === 1) return this.#part(parts[0]);
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(await this.#part(part), at);
      at += part.bytes;
    }
    return whole;
  }

  async #part(part) {
    const plain = new URL(part.path, this.base).href;
    const url = `${plain}?${part.sha256.slice(0, 16)}`; // another export is another address, to every cache on the way
    const kept = await this.cache?.match(url);
    if (kept) {
      const bytes = new Uint8Array(await kept.arrayBuffer());
      if (!(await wrong(part, bytes))) {
        this.progress(bytes.length);
        return bytes;
      }
    }
    const bytes = await read(await fetched(url), part, this.progress);
    const why = await wrong(part, bytes);
    if (why) throw asset(`${plain}: ${why}`);
    await this.#keep(plain, url, bytes);
    return bytes;
  }

  async #keep(plain, url, bytes) {
    if (!this.cache) return;
    try {
      await this.cache.delete(plain, { ignoreSearch: true }); // what an older export left
      await this.cache.put(url, new Response(bytes));
    } catch {
      // a full disk: the model works all the same
    }
  }
}
