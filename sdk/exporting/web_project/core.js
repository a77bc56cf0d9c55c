/* The model in this thread: its files, the C core as WebAssembly, and the engine. Pages use edgewright.js. */
import { answerOf, named, requestsOf } from "./answers.js";
import { EdgewrightError } from "./errors.js";
import { Files } from "./files.js";
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const CODES = ["", "asset", "asset", "memory", "too-long", "argument", "engine", "unsupported", "argument"]; // as in ew_tokenizer.h
const AGGREGATIONS = ["own", "none", "simple", "first", "average", "max"]; // as in edgewright.h
const INT64 = 7; // of ONNX's types
const MOST_APART = 0.05; // of scores: int8 is rounded elsewhere on other machines, 0.013 was seen; a wrong kernel is far off
/* One function each that uses 128 bit registers, and atomic operations: what the engine is compiled for. */
const NEEDED = {
  SIMD: [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  atomics: [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11],
};

const encoder = new TextEncoder(); // a lone surrogate becomes U+FFFD
const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // which then stays in a text

function supported() {
  const lacking = Object.keys(NEEDED).filter(
    (name) => typeof WebAssembly !== "object" || !WebAssembly.validate(new Uint8Array(NEEDED[name])),
  );
  if (lacking.length) throw new EdgewrightError("unsupported", `this browser has no WebAssembly ${lacking.join(" and ")}`);
}

export class Core {
  #c; // the C core's functions and memory
  #session;
  #limit;
  #vectors;
  #queue = Promise.resolve();
  #closed = false;
  #broken = "";
  #seen = null; // while checking, the token ids that the engine was given
  task;

  static async open(url, options, progress) {
    try {
      return await Core.#opened(url, options, progress);
    } catch (error) {
      throw known(error);
    }
  }

  static async #opened(url, { cache = true, threads = 1 } = {}, progress = () => {}) {
    supported();
    const state = { loaded: 0, total: 0 };
    const arrived = (bytes) => progress({ loaded: (state.loaded += bytes), total: state.total });
    const [own, model] = await Promise.all(
      [new URL("./", import.meta.url).href, url].map((base) => Files.of(base, cache, arrived)),
    );
    state.total = own.bytes + model.bytes;
    const weights = Object.keys(model.listed).find((name) => name.endsWith(".onnx"));
    const [wasm, ...parts] = await Promise.all([
      own.get("ort-wasm-simd-threaded.wasm"), own.get("edgewright.wasm"),
      ...["model.txt", "tokenizer.bin", "vectors.json", weights].map((name) => model.get(name)),
    ]);
    const core = new Core();
    await core.#load(parts);
    await core.#start(wasm, parts.at(-1), threads);
    return core;
  }

  async #load([wasm, settings, tokenizer, vectors]) {
    this.#c = (await WebAssembly.instantiate(wasm, {})).instance.exports;
    this.#vectors = vectors;
    this.#limit = Number(/^max_length (\d+)$/m.exec(decoder.decode(settings))?.[1] ?? 0);
    for (const [name, bytes] of [["model.txt", settings], ["tokenizer.bin", tokenizer]]) {
      this.#c.ew_page_file(this.#put(encoder.encode(`${name}\0`)), this.#put(bytes), bytes.length);
    }
    const code = this.#c.ew_page_open();
    if (code) throw this.#error(code);
    this.task = this.#text(this.#c.ew_page_task());
  }

  async #start(wasm, model, threads) {
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1; // more need memory that is shared
    ort.env.wasm.proxy = false;
    try {
      this.#session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    } catch (error) {
      throw new EdgewrightError("engine", `onnxruntime-web: ${error.message ?? error}`);
    } finally {
      ort.env.wasm.wasmBinary = undefined; // 14 MB that nobody reads again
    }
  }

  /* Calls wait for each other: the core has one request at a time. */
  call(name, values) {
    const answer = this.#queue.then(async () => {
      if (this.#closed) throw new EdgewrightError("closed", "the model is closed; open it again");
      if (this.#broken) throw new EdgewrightError("memory", this.#broken);
      try {
        return await { run: this.#run, encode: this.#encode, check: this.#check }[name].apply(this, values);
      } catch (error) {
        throw known(error);
      }
    });
    this.#queue = answer.catch(() => {});
    return answer;
  }

  close() {
    this.#closed = true;
    this.#queue = this.#queue.then(() => this.#session.release());
  }

  async #run(item, options) {
    const answers = [];
    const requests = requestsOf(this.task, item, options);
    for (const request of requests) answers.push(answerOf(this.task, request, await this.#asked(request)));
    return Array.isArray(item) ? answers : requests[0].alone ? [answers[0]].flat() : answers[0];
  }

  #encode(text, pair) {
    const [one, other] = [text, pair ?? ""].map((given) => encoder.encode(checked(given)));
    return this.#held(() => {
      const places = [this.#put(one), pair === undefined ? 0 : this.#put(other)];
      const count = this.#c.ew_page_encode(places[0], one.length, places[1], other.length, this.#limit);
      places.forEach((place) => this.#c.free(place));
      if (count < 0) throw this.#error(-count);
      const words = new Int32Array(this.#c.memory.buffer, this.#c.ew_page_tokens(), count * 5); // an ew_token is 20 bytes
      const offsets = Array.from({ length: count }, (_, i) => [words[5 * i + 1], words[5 * i + 2]]);
      return { ids: Int32Array.from({ length: count }, (_, i) => words[5 * i]), offsets };
    });
  }

  /* The golden cases of the bundle: the same ids, and answers as near as another machine's can be. */
  async #check() {
    const vectors = JSON.parse(decoder.decode(this.#vectors));
    let worst = 0;
    for (const vector of vectors) {
      this.#seen = [];
      const answer = await this.#run(named(this.task, vector.text), {});
      const [mine, theirs] = [this.#seen, vector.ids].map((rows) => rows.map(String).sort().join("\n"));
      this.#seen = null;
      const where = `golden case ${JSON.stringify(vector.text).slice(0, 60)}`;
      if (mine !== theirs) throw new EdgewrightError("check", `${where} has other token ids than in Python`);
      const apart = distance(answer, vector.answer);
      if (!(apart <= MOST_APART)) throw new EdgewrightError("check", `${where}: the answer is ${apart} from Python's`);
      worst = Math.max(worst, apart);
    }
    return { cases: vectors.length, worst };
  }

  async #asked(request) {
    const owned = [];
    const text = (given) => {
      if (given === undefined) return 0;
      owned.push(this.#put(ended(given)));
      return owned.at(-1);
    };
    try {
      const place = this.#held(() => {
        const choices = (request.choices ?? []).map(text);
        owned.push(this.#put(new Uint8Array(Uint32Array.from(choices).buffer)));
        const list = owned.at(-1);
        const words = Int32Array.of(
          text(request.text), text(request.pair), list, choices.length, request.most ?? 0,
          AGGREGATIONS.indexOf(request.aggregation ?? "own"), Number(Boolean(request.several)),
          text(request.hypothesis), request.longest ?? 0, Number(Boolean(request.nothing)),
        ); // an ew_request
        owned.push(this.#put(new Uint8Array(words.buffer)));
        return owned.at(-1);
      });
      for (;;) {
        const code = this.#held(() => this.#c.ew_page_run(place));
        if (code === 0) return this.#items();
        if (code > 0) throw this.#error(code);
        await this.#engine();
      }
    } finally {
      if (!this.#broken) owned.forEach((one) => this.#c.free(one));
      if (!this.#broken) this.#c.ew_page_begin(); // what the engine gave goes now, not at the next request
    }
  }

  /* What the core wants run, a `wanted` of core.c. */
  async #engine() {
    const at = this.#c.ew_page_wanted();
    const words = new Uint32Array(this.#c.memory.buffer, at, 12).slice();
    const feeds = {};
    for (let i = 0; i < words[0]; i++) feeds[this.#text(words[2 + i])] = this.#tensor(words[6 + i]);
    const names = Array.from({ length: words[1] }, (_, i) => this.#text(words[10 + i]));
    this.#seen?.push(...rows(feeds));
    let outputs;
    try {
      outputs = await this.#session.run(feeds, names);
    } catch (error) {
      throw new EdgewrightError("engine", `onnxruntime-web: ${error.message ?? error}`);
    }
    for (const name of names) {
      const { data, dims, type } = outputs[name];
      if (type !== "float32" || dims.length > 3) throw new EdgewrightError("engine", `output ${name} is no float32 of 3 dimensions`);
      this.#held(() => this.#c.ew_page_output(this.#put(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), dims.length, ...dims));
    }
  }

  #tensor(at) {
    const [type, rank, a, b, c, data] = new Int32Array(this.#c.memory.buffer, at, 6);
    const dims = [a, b, c].slice(0, rank);
    const count = dims.reduce((x, y) => x * y, 1);
    const Numbers = type === INT64 ? BigInt64Array : Int32Array;
    return new ort.Tensor(type === INT64 ? "int64" : "int32", new Numbers(this.#c.memory.buffer, data >>> 0, count).slice(), dims);
  }

  #items() {
    const at = this.#c.ew_page_answer();
    const [items, count, vector, width] = new Uint32Array(this.#c.memory.buffer, at, 4);
    const view = new DataView(this.#c.memory.buffer);
    const found = Array.from({ length: count }, (_, i) => {
      const one = items + 32 * i; // an ew_item is 32 bytes
      const word = (k) => view.getUint32(one + k, true);
      return {
        label: this.#text(word(0)), text: this.#text(word(4)), score: view.getFloat64(one + 8, true),
        id: view.getInt32(one + 16, true), index: word(20), start: word(24), end: word(28),
      };
    });
    return { items: found, vector: new Float32Array(this.#c.memory.buffer, vector, width).slice() };
  }

  /* Memory that is full ends the C core in its middle: nothing of it is to be trusted then. */
  #held(step) {
    try {
      return step();
    } catch (error) {
      if (error instanceof EdgewrightError) throw error;
      this.#broken = `there was not enough memory (${error.message}); close the model and open it again`;
      throw new EdgewrightError("memory", this.#broken);
    }
  }

  #put(bytes) {
    const place = this.#c.malloc(bytes.length + 1) >>> 0;
    if (!place) throw new EdgewrightError("memory", `there is no memory for ${bytes.length} bytes`);
    new Uint8Array(this.#c.memory.buffer, place, bytes.length).set(bytes);
    return place;
  }

  #text(place) {
    const bytes = new Uint8Array(this.#c.memory.buffer);
    return decoder.decode(bytes.subarray(place, bytes.indexOf(0, place)));
  }

  #error(code) {
    return new EdgewrightError(CODES[code] ?? "engine", this.#text(this.#c.ew_page_why()));
  }
}

/* Whatever else goes wrong is memory that is full, or a fault of the engine's or ours. */
function known(error) {
  if (error instanceof EdgewrightError) return error;
  return new EdgewrightError(error instanceof RangeError ? "memory" : "engine", error.message ?? String(error));
}

function checked(text) {
  if (typeof text !== "string") throw new EdgewrightError("argument", `${JSON.stringify(text) ?? text} is no text`);
  return text;
}

/* As C has texts: a NUL would end one in its middle. */
function ended(text) {
  if (checked(text).includes("\0")) throw new EdgewrightError("argument", "a text with the character U+0000 cannot be read");
  return encoder.encode(`${text}\0`);
}

/* The token ids of each row, without padding. */
function rows({ input_ids: { data, dims }, attention_mask: mask }) {
  return Array.from({ length: dims[0] }, (_, i) =>
    Array.from(data.subarray(i * dims[1], (i + 1) * dims[1])).filter((_, j) => !mask || Number(mask.data[i * dims[1] + j])),
  );
}

/* The largest difference of numbers in two answers; Infinity where they say something else. */
function distance(mine, theirs) {
  if (typeof theirs === "number") return Math.abs(mine - theirs) / Math.max(1, Math.abs(theirs));
  if (typeof theirs !== "object" || theirs === null) return mine === theirs ? 0 : Infinity;
  if (Array.isArray(theirs) && theirs.length !== mine?.length) return Infinity;
  if (theirs.label !== mine?.label) return Math.abs(mine?.score - theirs.score) <= MOST_APART ? 0 : Infinity; // nearly a tie
  return Math.max(0, ...Object.keys(theirs).map((key) => distance(mine?.[key], theirs[key])));
}
