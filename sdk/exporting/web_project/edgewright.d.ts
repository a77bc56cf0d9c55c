/** A model that answers texts in a page, in a worker of its own. Offsets count characters (code points), as in Python. */
export class Edgewright {
  /** What the model answers, such as "text-classification". */
  readonly task: Task;

  /**
   * Open the model of a directory that `edgewright export web` wrote.
   * @param model the address of its directory `model`, relative to the page.
   * @throws EdgewrightError with code "asset", "unsupported", "engine" or "memory".
   */
  static open(model: string, options?: OpenOptions): Promise<Edgewright>;

  /** Answer an item, or each of a list, in the form that Python's pipelines have. Calls are answered one after the other. */
  run(item: string | Item, options?: RunOptions): Promise<Answer>;
  run(items: (string | Item)[], options?: RunOptions): Promise<Answer[]>;

  /** The tokens of a text or a pair as the model reads them: ids, and the characters of its text that each covers. */
  encode(text: string, pair?: string): Promise<{ ids: Int32Array; offsets: [number, number][] }>;

  /**
   * Replay the golden cases of the bundle: the same token ids, and answers as near as int8 is on two machines.
   * @throws EdgewrightError with code "check" at the first that is not.
   */
  check(): Promise<{ cases: number; worst: number }>;

  /** End the worker. Calls that are not answered, and later ones, fail with code "closed". */
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
  | "feature-extraction" | "text-ranking" | "zero-shot-classification";

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
}

export interface Label { label: string; score: number }
export interface Entity { entity_group?: string; entity?: string; score: number; index?: number; word: string; start: number; end: number }
export interface Filling { score: number; token: number; token_str: string; sequence: string }
export interface Passage { score: number; start: number; end: number; answer: string }
export interface Ranked { corpus_id: number; score: number; text: string }
export interface Chosen { sequence: string; labels: string[]; scores: number[] }

/** By the task: Label or Label[], Entity[], Filling[] or Filling[][], Passage or Passage[], Float32Array, Ranked[], Chosen. */
export type Answer = any;
