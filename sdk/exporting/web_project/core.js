/* The model in this thread: its files, the C core as WebAssembly, and the engine. Pages use edgewright.js. */
import { answerOf, named, requestsOf, textOf, writtenOf } from "./answers.js";
import { Engine } from "./engine.js";
import { closed, EdgewrightError } from "./errors.js";
import { Files } from "./files.js";

const CODES = ["", "asset", "asset", "memory", "too-long", "argument", "engine", "unsupported", "argument"]; // as in ew_tokenizer.h
const REASONS = ["nothing", "end", "stop", "length", "context", "cancelled"]; // as in edgewright.h
const MOST_WHY = 512; // bytes of an error's words, as in edgewright.h
const BREATH_MS = 100; // after which others have their turn, as when somebody stops an answer; browsers make 4 ms of each
const MORE = -1; // what a step gives that is not the last
const INT64 = 7; // of ONNX's types
const WRITTEN = ["text-generation", "translation"]; // tasks of models that write
const AGGREGATIONS = ["own", "none", "simple", "first", "average", "max"]; // as in edgewright.h
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
  #engine;
  #prompt; // before every text, of some that translate
  #vectors;
  #queue = Promise.resolve();
  #closed = false;
  #broken = "";
  #seen = null; // while checking, the token ids that the engine was given
  #told = null; // while writing, whom pieces are told
  task;
  chats;

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
    const names = Object.keys(model.listed);
    const graphs = names.filter((name) => name.endsWith(".onnx")).sort((a, b) => a.length - b.length); // encoder_model.onnx is the second
    const beside = names.filter((name) => name.startsWith(graphs[0]) && name !== graphs[0]);
    const [wasm, core, settings, tokenizer, vectors, ...data] = await Promise.all([
      own.get("ort-wasm-simd-threaded.wasm"), own.get("edgewright.wasm"),
      ...["model.txt", "tokenizer.bin", "vectors.json", ...graphs, ...beside].map((name) => model.get(name)),
    ]);
    const opened = new Core();
    await opened.#load(core, settings, tokenizer, vectors);
    const weights = data.splice(graphs.length).map((bytes, i) => [beside[i], bytes]);
    opened.#engine = await Engine.open(wasm, data, weights, globalThis.crossOriginIsolated ? threads : 1);
    return opened;
  }

  async #load(wasm, settings, tokenizer, vectors) {
    const page = {
      run: (...asked) => this.#run(...asked),
      cache_new: (bytes) => this.#engine.cacheNew(bytes),
      cache_copy: (to, from, bytes) => this.#engine.cacheCopy(to, from, bytes),
      cache_free: (place) => this.#engine.cacheFree(place),
      piece: (place, bytes) => {
        this.#told(decoder.decode(new Uint8Array(this.#c.memory.buffer, place, bytes)));
        return 0; // go on
      },
      number: (place) => Number(this.#text(place)),
      seconds: () => performance.now() / 1000,
    };
    this.#c = (await WebAssembly.instantiate(wasm, { page })).instance.exports;
    this.#vectors = vectors;
    const said = (name) => new RegExp(`^${name} (.*)$`, "m").exec(decoder.decode(settings))?.[1];
    this.#prompt = (said("prompt") ?? "").replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));
    for (const [name, bytes] of [["model.txt", settings], ["tokenizer.bin", tokenizer]]) {
      this.#c.ew_page_file(this.#put(encoder.encode(`${name}\0`)), this.#put(bytes), bytes.length);
    }
    const code = this.#c.ew_page_open();
    if (code) throw this.#error(code);
    this.task = this.#text(this.#c.ew_page_task());
    this.chats = this.#c.ew_page_chats() === 1;
  }

  /* Calls wait for each other: the core has one request at a time. Pieces of what is written go to `piece`, and `signal` ends it. */
  call(name, values, { piece, signal } = {}) {
    const answer = this.#queue.then(async () => {
      if (this.#closed) throw closed();
      if (this.#broken) throw new EdgewrightError("memory", this.#broken);
      try {
        if (name === "stream") return await this.#written(...values, piece, signal);
        return await { run: this.#answers, encode: this.#encode, check: this.#check }[name].apply(this, values);
      } catch (error) {
        throw known(error);
      }
    });
    this.#queue = answer.catch(() => {});
    return answer;
  }

  close() {
    this.#closed = true;
    this.#queue = this.#queue.then(() => { this.#c = this.#engine = null; });
  }

  async #answers(item, options) {
    if (this.task === "text-generation") return this.#texts(item, options);
    if (this.task === "translation") return this.#translations(item, options);
    const answers = [];
    const requests = requestsOf(this.task, item, options);
    for (const request of requests) answers.push(answerOf(this.task, request, await this.#asked(request)));
    return Array.isArray(item) ? answers : requests[0].alone ? [answers[0]].flat() : answers[0];
  }

  #encode(text, pair) {
    const [one, other] = [text, pair ?? ""].map((given) => encoder.encode(checked(given)));
    return this.#held(() => {
      const places = [this.#put(one), pair === undefined ? 0 : this.#put(other)];
      const count = this.#c.ew_page_encode(places[0], one.length, places[1], other.length);
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
      const where = `golden case ${JSON.stringify(vector.text).slice(0, 60)}`;
      this.#seen = [];
      const apart = await this.#apart(vector);
      const [mine, theirs] = [this.#seen, vector.ids].map((rows) => rows.map(String).sort().join("\n"));
      this.#seen = null;
      if (mine !== theirs) throw new EdgewrightError("check", `${where} has other token ids than in Python`);
      if (!vector.tokens && !(apart <= MOST_APART)) throw new EdgewrightError("check", `${where}: the answer is ${apart} from Python's`);
      worst = Math.max(worst, apart);
    }
    return { cases: vectors.length, worst };
  }

  /* How far an answer is from Python's: of tokens, the share from the first on that is another one. */
  async #apart({ text, answer, tokens }) {
    if (!tokens) return distance(await this.#answers(named(this.task, text), {}), answer);
    this.#seen.push(Array.from(this.#encode(this.#prompt + text).ids));
    const translates = this.task === "translation";
    const greedy = translates ? { num_beams: 1 } : { temperature: 0, ignore_end: true };
    const most = tokens.length + Number(translates); // behind the last one, so that none of them is the one that ends a cut text
    const found = (await this.#written(text, { max_new_tokens: most, ...greedy })).tokens;
    const at = tokens.findIndex((token, i) => token !== found[i]);
    return at < 0 ? 0 : 1 - at / tokens.length;
  }

  async #texts(item, { return_full_text: whole = true, ...settings } = {}) {
    if (Array.isArray(item) && item.every((one) => typeof one === "string" || Array.isArray(one)) && item.length) {
      const answers = [];
      for (const one of item) answers.push(await this.#texts(one, { return_full_text: whole, ...settings }));
      return answers;
    }
    const pieces = [];
    await this.#written(item, settings, (piece) => pieces.push(piece));
    return textOf(item, pieces.join(""), whole);
  }

  async #translations(item, options) {
    const answers = [];
    for (const one of [item].flat()) {
      const pieces = [];
      await this.#written(one, options, (piece) => pieces.push(piece));
      answers.push({ translation_text: pieces.join("") });
    }
    return answers;
  }

  /* Write after a prompt or after messages, or translate a text; between two steps the page's own events have their turn. */
  async #written(asked, settings = {}, piece = () => {}, signal = undefined) {
    const owned = writtenOf(asked, settings).map((text) => (text === undefined ? 0 : this.#put(ended(text))));
    this.#told = piece;
    let code = this.#held(() => this.#c.ew_page_write(...owned)) || MORE;
    for (let last = 0; code === MORE && !signal?.aborted && !this.#closed;) {
      code = this.#held(() => this.#c.ew_page_step());
      if (performance.now() - last < BREATH_MS) continue;
      await breath();
      last = performance.now();
    }
    const failed = this.#held(() => this.#c.ew_page_written(Math.max(code, 0), Number(code === MORE)));
    owned.forEach((one) => this.#c.free(one));
    if (failed) throw this.#error(failed);
    if (this.#closed) throw closed();
    const view = new DataView(this.#c.memory.buffer, this.#c.ew_page_stats());
    const [prompt_tokens, reused, count, ids] = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
    const [first_s, prefill_s, decode_s] = [16, 24, 32].map((at) => view.getFloat64(at, true)); // an ew_stats
    const tokens = Array.from(new Int32Array(this.#c.memory.buffer, ids, count));
    return { tokens, reason: REASONS[view.getInt32(40, true)], prompt_tokens, reused, first_s, prefill_s, decode_s };
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
      const code = this.#held(() => this.#c.ew_page_run(place));
      if (code) throw this.#error(code);
      return this.#items();
    } finally {
      if (!this.#broken) owned.forEach((one) => this.#c.free(one));
    }
  }

  /* What the core wants run. */
  #run(graph, names, given, count, ...rest) {
    const why = this.#engine.run(this.#c, graph, names, given, count, ...rest);
    if (this.#seen && !WRITTEN.includes(this.task)) this.#seen.push(...this.#rows(names, given, count));
    if (!why) return 0;
    const place = this.#c.ew_page_engine_why();
    new Uint8Array(this.#c.memory.buffer, place, MOST_WHY).fill(0);
    encoder.encodeInto(why, new Uint8Array(this.#c.memory.buffer, place, MOST_WHY - 1));
    return 1;
  }

  /* The token ids of each row that a run is given, without padding. */
  #rows(names, given, count) {
    const [texts, values] = [names, given].map((place) => new Uint32Array(this.#c.memory.buffer, place, count));
    const of = (name) => {
      const at = Array.from(texts, (place) => this.#text(place)).indexOf(name);
      if (at < 0) return [null, []];
      const [type, , ...words] = new Int32Array(this.#c.memory.buffer, values[at], 8);
      const Numbers = type === INT64 ? BigInt64Array : Int32Array;
      return [words[1], new Numbers(this.#c.memory.buffer, words[5] >>> 0, words[0] * words[1])];
    };
    const [width, ids] = of("input_ids");
    const [, mask] = of("attention_mask");
    return Array.from({ length: ids.length / width }, (_, i) =>
      Array.from(ids.slice(i * width, (i + 1) * width)).filter((_, j) => !mask.length || Number(mask[i * width + j])),
    );
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

/* The turn of whatever else waits. */
const breath = () => new Promise((go) => setTimeout(go, 0));

function checked(text) {
  if (typeof text !== "string") throw new EdgewrightError("argument", `${JSON.stringify(text) ?? text} is no text`);
  return text;
}

/* As C has texts: a NUL would end one in its middle. */
function ended(text) {
  if (checked(text).includes("\0")) throw new EdgewrightError("argument", "a text with the character U+0000 cannot be read");
  return encoder.encode(`${text}\0`);
}

/* The largest difference of numbers in two answers; Infinity where they say something else. */
function distance(mine, theirs) {
  if (typeof theirs === "number") return Math.abs(mine - theirs) / Math.max(1, Math.abs(theirs));
  if (typeof theirs !== "object" || theirs === null) return mine === theirs ? 0 : Infinity;
  if (Array.isArray(theirs) && theirs.length !== mine?.length) return Infinity;
  if (theirs.label !== mine?.label) return Math.abs(mine?.score - theirs.score) <= MOST_APART ? 0 : Infinity; // nearly a tie
  return Math.max(0, ...Object.keys(theirs).map((key) => distance(mine?.[key], theirs[key])));
}
