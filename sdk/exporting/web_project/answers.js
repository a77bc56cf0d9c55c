/* What a page asks and is told, by the names that Python's pipelines have, to and from the C core's. */
import { EdgewrightError } from "./errors.js";

const argument = (message) => new EdgewrightError("argument", message);

/* Of each task: the parts of an item, by the names of the C core, and the options. */
const TASKS = {
  "text-classification": { parts: { text: "text", text_pair: "pair" }, options: ["top_k"] },
  "token-classification": { parts: { text: "text" }, options: ["aggregation_strategy"] },
  "fill-mask": { parts: { text: "text" }, options: ["top_k"] },
  "question-answering": { parts: { question: "text", context: "pair" }, options: ["top_k", "max_answer_len", "handle_impossible_answer"] },
  "feature-extraction": { parts: { text: "text", text_pair: "pair" }, options: [] },
  "text-ranking": { parts: { query: "text", texts: "choices" }, options: ["top_k"] },
  "zero-shot-classification": {
    parts: { sequence: "text", text: "text", candidate_labels: "choices" },
    options: ["candidate_labels", "multi_label", "hypothesis_template"],
  },
};
const OPTIONS = {
  top_k: "most", aggregation_strategy: "aggregation", max_answer_len: "longest", handle_impossible_answer: "nothing",
  candidate_labels: "choices", multi_label: "several", hypothesis_template: "hypothesis",
};
const STRATEGIES = ["none", "simple", "first", "average", "max"];

function whole(name, value, least) {
  if (!Number.isInteger(value) || value < least || value > 0x7fffffff) throw argument(`${name} is ${value}, and is at least ${least}`);
  return value;
}

function texts(name, given) {
  const list = typeof given === "string" ? given.split(",") : given;
  if (!Array.isArray(list)) throw argument(`${name} is no list of texts`);
  if (name !== "candidate_labels") return list;
  return list.map((one) => (typeof one === "string" ? one.trim() : one)).filter((one) => one !== "");
}

function asked(task, options) {
  const known = TASKS[task].options;
  const request = {};
  for (const [name, value] of Object.entries(options ?? {})) {
    if (!known.includes(name)) throw argument(`${task} has no option ${name}; it has ${known.join(", ") || "none"}`);
    if (value === undefined || (value === null && name !== "top_k")) continue;
    request[OPTIONS[name]] = value;
    if (name === "top_k") request.most = whole(name, value ?? 0, 0) || -1; // 0 and null are all
    if (name === "max_answer_len") whole(name, value, 1);
    if (name === "candidate_labels") request.choices = texts(name, value);
    if (name === "aggregation_strategy" && !STRATEGIES.includes(value)) throw argument(`${name} is one of ${STRATEGIES.join(", ")}`);
  }
  return request;
}

function requestOf(task, item, options) {
  const { parts } = TASKS[task];
  if (typeof item === "string") return { ...options, text: item, alone: task === "text-classification" };
  if (typeof item !== "object" || item === null) throw argument(`${JSON.stringify(item) ?? item} is no item of ${task}`);
  const request = { ...options };
  for (const [name, value] of Object.entries(item)) {
    if (!parts[name]) throw argument(`an item of ${task} has no ${name}; it has ${Object.keys(parts).join(", ")}`);
    request[parts[name]] = parts[name] === "choices" ? texts(name, value) : value;
  }
  if (request.text === undefined) throw argument(`an item of ${task} has ${Object.keys(parts).join(", ")}`);
  return request;
}

/* An item of golden cases, where a pair is a list of two. */
export function named(task, item) {
  return Array.isArray(item) ? Object.fromEntries(Object.keys(TASKS[task].parts).map((name, at) => [name, item[at]])) : item;
}

/* The requests of an item or of a list of items, in the C core's words. */
export function requestsOf(task, item, options) {
  const shared = asked(task, options);
  return (Array.isArray(item) ? item : [item]).map((one) => requestOf(task, one, shared));
}

function masks(items) {
  const found = [];
  for (const { index, score, id, label, text } of items) {
    (found[index] ??= []).push({ score, token: id, token_str: label, sequence: text });
  }
  return found.length === 1 ? found[0] : found;
}

const SHAPES = {
  "text-classification": ({ items }, { most }) => {
    const found = items.map(({ label, score }) => ({ label, score }));
    return most === undefined ? found[0] : found;
  },
  "token-classification": ({ items }, { aggregation }) =>
    items.map(({ label, score, index, text, start, end }) =>
      aggregation === "none"
        ? { entity: label, score, index, word: text, start, end }
        : { entity_group: label, score, word: text, start, end },
    ),
  "fill-mask": ({ items }) => masks(items),
  "question-answering": ({ items }, { most }) => {
    const found = items.map(({ score, start, end, text }) => ({ score, start, end, answer: text }));
    return most === undefined ? found[0] : found;
  },
  "feature-extraction": ({ vector }) => vector,
  "text-ranking": ({ items }) => items.map(({ index, score, text }) => ({ corpus_id: index, score, text })),
  "zero-shot-classification": ({ items }, { text }) => ({
    sequence: text, labels: items.map(({ label }) => label), scores: items.map(({ score }) => score),
  }),
};

/* The answer to one request, in Python's form. */
export function answerOf(task, request, found) {
  return SHAPES[task](found, request);
}

/* What a model that writes is asked, in the C core's words: a prompt or messages, one of them, and settings as JSON. */
export function writtenOf(asked, settings) {
  const messages = Array.isArray(asked);
  if (!messages && typeof asked !== "string") throw argument(`${JSON.stringify(asked) ?? asked} is neither a prompt nor messages`);
  const said = Object.entries(settings ?? {}).filter(([, value]) => value !== undefined);
  const whole = ([name, value]) => `${JSON.stringify(name)}:${typeof value === "bigint" ? value : JSON.stringify(value)}`;
  return [messages ? undefined : asked, messages ? JSON.stringify(asked) : undefined, `{${said.map(whole).join(",")}}`];
}

/* What it wrote, as Python's pipeline gives it. */
export function textOf(asked, text, whole) {
  if (typeof asked === "string") return [{ generated_text: whole ? asked + text : text }];
  return [{ generated_text: whole ? [...asked, { role: "assistant", content: text }] : text }];
}
