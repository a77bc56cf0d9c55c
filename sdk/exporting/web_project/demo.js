/* The page that shows the model: what an app does, in a few lines. */
import { Edgewright } from "./edgewright.js";

const at = (id) => document.getElementById(id);
const lines = (text) => text.split("\n").filter((line) => line.trim());
/* What the two fields are, by the task, and the item that they make. */
const FORMS = {
  "text-generation": ["Prompt", "", (text) => text],
  translation: ["Text", "", (text) => text],
  "question-answering": ["Question", "Context", (question, context) => ({ question, context })],
  "text-ranking": ["Query", "Texts, one a line", (query, texts) => ({ query, texts: lines(texts) })],
  "zero-shot-classification": ["Text", "Labels, one a line", (sequence, labels) => ({ sequence, candidate_labels: lines(labels) })],
};

const messages = []; // of the conversation, of a model that takes them

/* What a model writes or translates, as it comes; the button ends it. */
async function write(model, text) {
  const end = new AbortController();
  const line = (words) => at("said").appendChild(Object.assign(document.createElement("p"), { textContent: words }));
  at("stop").onclick = () => end.abort();
  const busy = (now) => {
    at("ask").disabled = now;
    at("stop").hidden = !now;
  };
  busy(true);
  if (model.chats) {
    messages.push({ role: "user", content: text });
    at("text").value = "";
  }
  line(text).className = "asked";
  const answer = line("");
  try {
    for await (const piece of model.stream(model.chats ? messages : text, { signal: end.signal })) answer.append(piece);
    if (model.chats) messages.push({ role: "assistant", content: answer.textContent });
    const { tokens, first_s, decode_s, reason } = model.last;
    const speed = decode_s > 0 ? `, ${((tokens.length - 1) / decode_s).toFixed(1)} a second` : "";
    at("state").textContent = `${tokens.length} tokens, the first after ${first_s.toFixed(2)} s${speed}; ended by: ${reason}`;
  } catch (error) {
    if (model.chats) messages.pop();
    throw error;
  } finally {
    busy(false);
  }
}

function shown(answer) {
  const plain = answer instanceof Float32Array ? Array.from(answer, (one) => Number(one.toFixed(4))) : answer;
  return JSON.stringify(plain, null, 1);
}

try {
  const began = performance.now();
  const model = await Edgewright.open("./model/", {
    progress: ({ loaded, total }) => { at("progress").value = loaded / total; },
  });
  const [first, second, item] = FORMS[model.task] ?? ["Text", "", (text) => text];
  at("first").textContent = model.chats ? "Message" : first;
  const writes = { "text-generation": model.chats ? "Why is the sky blue?" : "Once upon a time", translation: "Turn on the lights." }[model.task];
  if (writes) at("text").value = writes;
  at("second").textContent = second;
  at("more").hidden = !second;
  at("progress").hidden = true;
  at("form").hidden = false;
  at("state").textContent = `${model.task}, opened in ${Math.round(performance.now() - began)} ms`;
  at("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      if (writes) await write(model, at("text").value);
      else at("answer").textContent = shown(await model.run(item(at("text").value, at("pair").value)));
    } catch (error) {
      at("answer").textContent = error.message;
    }
  });
} catch (error) {
  at("state").textContent = error.message;
}
