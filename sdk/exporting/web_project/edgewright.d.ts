/** A model that answers, writes or translates texts in a page, in a worker of its own. Offsets count characters (code points), as in Python. */
export class Edgewright {
  /** What the model answers, such as "text-classification". */
  readonly task: Task;

  /** Whether a model that writes takes messages. */
  readonly chats: boolean;

  /** What came of the last answer that `stream` gave, or null. */
  readonly last: Written | null;

  /**
   * Open the model of a directory that `edgewright export web` wrote.
   * @param model the address of its directory `model`, relative to the page.
   * @throws EdgewrightError with code "asset", "unsupported", "engine" or "memory".
   */
  static open(model: string, options?: OpenOptions): Promise<Edgewright>;

  /** Answer an item, or each of a list, in the form that Python's pipelines have. Calls are answered one after the other. */
  run(item: string | Item | Message[], options?: RunOptions & StreamOptions & TranslateOptions): Promise<Answer>;
  run(items: (string | Item | Message[])[], options?: RunOptions & StreamOptions & TranslateOptions): Promise<Answer[]>;

  /**
   * What a model writes after a prompt or messages, piece by piece: whole characters, which together are the answer. Leaving
   * the loop ends it, and so does the signal; the loop then ends, too, and `last` says so. What a prompt has in common with
   * the one before it is not read again.
   *
   *     for await (const piece of model.stream("Once upon a time", { max_new_tokens: 80 })) at.append(piece);
   *
   * Of a model that translates it is the translation of each sentence of a text, as soon as it is there, and white space
   * between sentences as it is.
   */
  stream(asked: string | Message[], options?: StreamOptions | TranslateOptions): AsyncGenerator<string, void, void>;

  /** The tokens of a text or a pair as the model reads them: ids, and the characters of its text that each covers. */
  encode(text: string, pair?: string): Promise<{ ids: Int32Array; offsets: [number, number][] }>;

  /**
   * Replay the golden cases of the bundle: the same token ids, and answers as near as int8 is on two machines. Of a model that
   * writes `worst` is the share of tokens from the first one on that is another: 0 at fp32; at int8 one may turn.
   * @throws EdgewrightError with code "check" at the first that is not.
   */
  check(): Promise<{ cases: number; worst: number }>;

  /** End the worker, and the answer that it writes. Calls that are not answered, and later ones, fail with code "closed". */
  close(): void;

  /** The characters from `start` to `end` of a text, as offsets count them. */
  static slice(text: string, start: number, end: number): string;
}

export class EdgewrightError extends Error {
  code: "argument" | "asset" | "check" | "closed" | "engine" | "memory" | "too-long" | "unsupported";
}

export interface OpenOptions {
  /** Called as files arrive, in bytes; also for those that come from the cache. */
  progress?: (at: { loaded: number; total: number }) => void;
  /** Keep the files in the browser's Cache API, and open without a network from there. True by default. */
  cache?: boolean;
  /** Of the engine; more than 1 only where the page is cross-origin isolated. 1 by default. */
  threads?: number;
  /** False opens the model in the page's own thread. */
  worker?: boolean;
}

export type Task =
  | "text-classification" | "token-classification" | "fill-mask" | "question-answering"
  | "feature-extraction" | "text-ranking" | "zero-shot-classification" | "text-generation" | "translation";

export type Item =
  | { text: string; text_pair?: string }
  | { question: string; context: string }
  | { query: string; texts: string[] }
  | { sequence: string; candidate_labels?: string[] };

export interface RunOptions {
  /** text-classification, fill-mask, question-answering, text-ranking: so many, 0 is all; the answer is then a list. */
  top_k?: number;
  /** token-classification: as in transformers' pipeline; by default as edgewright scores entities. */
  aggregation_strategy?: "none" | "simple" | "first" | "average" | "max";
  /** question-answering: the most tokens of an answer, 30 by default. */
  max_answer_len?: number;
  /** question-answering: whether "" may be the answer. */
  handle_impossible_answer?: boolean;
  /** zero-shot-classification. */
  candidate_labels?: string[] | string;
  multi_label?: boolean;
  hypothesis_template?: string;
  /** text-generation, beside all of StreamOptions but the signal: whether the answer begins with what was asked, as by default. */
  return_full_text?: boolean;
}

export interface Message { role: string; content: string }

/** With the meaning that they have in Python; what is not said is the model's own. */
export interface StreamOptions {
  max_new_tokens?: number;
  temperature?: number;
  top_k?: number;
  top_p?: number;
  min_p?: number;
  repetition_penalty?: number;
  no_repeat_ngram_size?: number;
  /** A whole number up to 2 ** 64 - 1; the tokens are then those that Python draws. */
  seed?: number | bigint | null;
  stop?: string | string[];
  when_full?: "stop" | "slide" | "refuse";
  ignore_end?: boolean;
  signal?: AbortSignal;
}

/** Of a model that translates, as in Python; what is not said is the model's own. */
export interface TranslateOptions {
  /** Texts that are followed at once, 1 to 64; 1 is greedy. */
  num_beams?: number;
  length_penalty?: number;
  early_stopping?: boolean | "never";
  /** Of a sentence. */
  max_new_tokens?: number;
  /** Whether lines are cut into sentences, as by default; one that is longer than the model reads always is, at spaces. */
  split?: boolean;
  signal?: AbortSignal;
}

export interface Written {
  /** Without the one that ended the answer; of a translation all sentences', each with the one that ended it. */
  tokens: number[];
  reason: "end" | "stop" | "length" | "context" | "cancelled";
  prompt_tokens: number;
  /** Of which so many lay in the cache already. */
  reused: number;
  first_s: number;
  prefill_s: number;
  decode_s: number;
}

export interface Label { label: string; score: number }
export interface Entity { entity_group?: string; entity?: string; score: number; index?: number; word: string; start: number; end: number }
export interface Filling { score: number; token: number; token_str: string; sequence: string }
export interface Passage { score: number; start: number; end: number; answer: string }
export interface Ranked { corpus_id: number; score: number; text: string }
export interface Chosen { sequence: string; labels: string[]; scores: number[] }

/** By the task: Label or Label[], Entity[], Filling[] or Filling[][], Passage or Passage[], Float32Array, Ranked[], Chosen, [{ generated_text }], [{ translation_text }]. */
export type Answer = any;
