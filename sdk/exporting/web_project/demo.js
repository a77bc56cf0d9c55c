/* The page that shows the model: what an app does, in a few lines. */
import { Edgewright } from "./edgewright.js";

const at = (id) => document.getElementById(id);
const lines = (text) => text.split("\n").filter((line) => line.trim());
/* What the two fields are, by the task, and the item that they make. */
const FORMS = {
  "question-answering": ["Question", "Context", (question, context) => ({ question, context })],
  "text-ranking": ["Query", "Texts, one a line", (query, texts) => ({ query, texts: lines(texts) })],
  "zero-shot-classification": ["Text", "Labels, one a line", (sequence, labels) => ({ sequence, candidate_labels: lines(labels) })],
};

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
  at("first").textContent = first;
  at("second").textContent = second;
  at("more").hidden = !second;
  at("progress").hidden = true;
  at("form").hidden = false;
  at("state").textContent = `${model.task}, opened in ${Math.round(performance.now() - began)} ms`;
  at("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      at("answer").textContent = shown(await model.run(item(at("text").value, at("pair").value)));
    } catch (error) {
      at("answer").textContent = error.message;
    }
  });
} catch (error) {
  at("state").textContent = error.message;
}
