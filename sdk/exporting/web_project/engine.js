/* onnxruntime-web by its module's own functions, which its JavaScript interface calls too: they answer at once, and what lies in
 * the module's memory stays there, so that the cache of a model that writes is not copied for every token. */
import { EdgewrightError } from "./errors.js";
import factory from "./ort/ort-wasm-simd-threaded.mjs";

const BYTES = { 1: 4, 3: 1, 6: 4, 7: 8, 10: 2 }; // of ONNX's types: float32, int8, int32, int64, float16
const FLOAT = 1;
const CACHE_RANK = 4; // the dimensions of what lies in the engine's memory already
const MOST_RANK = 3; // of an output that is copied
const KEPT_RANK = 5; // of what an encoder read, which stays in the engine's memory
const EVERYTHING = 99; // of what can be optimized
const ERRORS = 3; // are said, warnings are not
const CPU = 1; // where values are

export class Engine {
  #ort; // the module
  #sessions;
  #names = new Map(); // in the module's memory, by their places in the core's
  #kept = new Map(); // outputs that stay there, by where their bytes are

  /* A model's graphs, and the files beside them that hold their weights. */
  static async open(wasm, graphs, beside, threads) {
    const engine = new Engine();
    try {
      engine.#ort = await factory({ wasmBinary: wasm, numThreads: threads, locateFile: (name) => name });
      engine.#open(graphs, beside, threads);
    } catch (error) {
      throw new EdgewrightError("engine", engine.#said(error));
    }
    return engine;
  }

  #open(graphs, beside, threads) {
    const ort = this.#ort;
    if (ort._OrtInit(threads, ERRORS)) throw this.#last();
    const options = ort._OrtCreateSessionOptions(EVERYTHING, false, false, 0, false, 0, 0, ERRORS, 0, 0);
    if (!options) throw this.#last();
    for (const [name, bytes] of beside) ort.mountExternalData(name, bytes);
    this.#sessions = graphs.map((graph) => {
      const place = this.#put(graph);
      const session = ort._OrtCreateSession(place, graph.length, options);
      if (!session) throw this.#last();
      ort._free(place);
      return session;
    });
    ort._OrtReleaseSessionOptions(options);
    if (beside.length) ort.unmountExternalData();
  }

  /* What the core imports: its cache, in this memory. */
  cacheNew(bytes) {
    const place = this.#ort._malloc(bytes);
    if (place) this.#memory.fill(0, place, place + bytes);
    return place;
  }

  cacheCopy(to, from, bytes) {
    this.#memory.copyWithin(to >>> 0, from >>> 0, (from >>> 0) + bytes);
  }

  cacheFree(place) {
    const kept = this.#kept.get(place >>> 0);
    this.#kept.delete(place >>> 0);
    if (kept) this.#ort._OrtReleaseTensor(kept);
    else this.#ort._free(place);
  }

  /* A run of a graph with values as core.c has them; "", or what went wrong. */
  run(core, graph, names, given, count, asked, out, outputs) {
    const ort = this.#ort;
    const stack = ort.stackSave();
    const owned = []; // memory, freed at the end
    const made = []; // values of the engine
    try {
      const words = (place, n) => Array.from(new Uint32Array(core.memory.buffer, place, n));
      const list = (some) => {
        const place = ort.stackAlloc(4 * some.length);
        some.forEach((one, i) => ort.setValue(place + 4 * i, one, "i32"));
        return place;
      };
      const value = (place) => {
        const one = this.#value(core, place, owned);
        made.push(one.handle);
        return one;
      };
      const inputs = words(given, count).map(value);
      const wanted = words(out, outputs).map((place) => (place ? value(place) : { handle: 0 }));
      const results = list(wanted.map((one) => one.handle));
      const code = ort._OrtRun(
        this.#sessions[graph], list(words(names, count).map((one) => this.#name(core, one))), list(inputs.map((one) => one.handle)), count,
        list(words(asked, outputs).map((one) => this.#name(core, one))), outputs, results, 0,
      );
      if (code) throw this.#last();
      wanted.forEach((one, i) => {
        if (one.copied) new Uint8Array(core.memory.buffer, one.data, one.bytes).set(this.#memory.subarray(one.copied, one.copied + one.bytes));
        if (one.handle) return;
        const result = ort.getValue(results + 4 * i, "*");
        const taken = this.#taken(core, result, made); // which may move the core's memory
        new Uint32Array(core.memory.buffer, out, outputs)[i] = taken;
      });
      return "";
    } catch (error) {
      return this.#said(error);
    } finally {
      made.forEach((one) => ort._OrtReleaseTensor(one));
      owned.forEach((one) => ort._free(one));
      ort.stackRestore(stack);
    }
  }

  /* A value of the core's: what is not the cache is copied. */
  #value(core, place, owned) {
    const ort = this.#ort;
    const [type, rank, ...rest] = new Int32Array(core.memory.buffer, place, 8);
    const dims = rest.slice(0, rank);
    const bytes = dims.reduce((x, y) => x * y, BYTES[type]);
    const data = rest[5] >>> 0;
    const copied = rank < CACHE_RANK ? this.#put(new Uint8Array(core.memory.buffer, data, bytes)) : 0;
    if (copied) owned.push(copied);
    const stack = ort.stackSave();
    const shape = ort.stackAlloc(4 * rank);
    dims.forEach((one, i) => ort.setValue(shape + 4 * i, one, "i32"));
    const handle = ort._OrtCreateTensor(type, copied || data, bytes, shape, rank, CPU);
    ort.stackRestore(stack);
    if (!handle) throw this.#last();
    return { handle, data, bytes, copied };
  }

  /* An output that the engine made, as the core's value: copied, and then the engine's goes with `made`, or kept where it is. */
  #taken(core, handle, made) {
    const ort = this.#ort;
    made.push(handle);
    const about = ort.stackAlloc(16);
    if (ort._OrtGetTensorData(handle, about, about + 4, about + 8, about + 12)) throw this.#last();
    const [type, data, shape, rank] = [0, 4, 8, 12].map((at) => ort.getValue(about + at, "i32") >>> 0);
    const dims = Array.from({ length: rank }, (_, i) => ort.getValue(shape + 4 * i, "i32"));
    ort._OrtFree(shape);
    const kept = rank === KEPT_RANK;
    if (type !== FLOAT || (rank > MOST_RANK && !kept)) throw new Error(`an output is no float32 of ${MOST_RANK} dimensions`);
    const bytes = dims.reduce((x, y) => x * y, BYTES[FLOAT]);
    const place = kept ? data : core.malloc(bytes + 1) >>> 0;
    const value = place && core.ew_page_value(place, kept, rank, ...dims, ...Array(KEPT_RANK - rank).fill(1)) >>> 0;
    if (!value) throw new Error(`there is no memory for ${bytes} bytes`);
    if (kept) this.#kept.set(data, made.pop());
    else new Uint8Array(core.memory.buffer, place, bytes).set(this.#memory.subarray(data, data + bytes));
    return value;
  }

  #name(core, place) {
    if (!this.#names.has(place)) {
      const bytes = new Uint8Array(core.memory.buffer);
      this.#names.set(place, this.#put(bytes.subarray(place, bytes.indexOf(0, place) + 1)));
    }
    return this.#names.get(place);
  }

  #put(bytes) {
    const place = this.#ort._malloc(bytes.length + 1) >>> 0;
    if (!place) throw new Error(`there is no memory for ${bytes.length} bytes`);
    this.#memory.set(bytes, place);
    return place;
  }

  /* The module's memory; reading by it first has it see what other threads made of its size. */
  get #memory() {
    this.#ort.getValue(0, "i8");
    return this.#ort.HEAPU8;
  }

  #last() {
    const ort = this.#ort;
    const place = ort.stackAlloc(8);
    ort._OrtGetLastError(place, place + 4);
    const text = ort.getValue(place + 4, "*");
    return new Error(text ? ort.UTF8ToString(text) : "it failed and says nothing");
  }

  #said(error) {
    return `onnxruntime-web: ${error.message ?? error}`;
  }
}
