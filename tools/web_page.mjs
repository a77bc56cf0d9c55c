/* The page of tools/web_answers.py: does what /job says, and posts what came of it. */
const job = await (await fetch("/job")).json();
const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const told = (error) => ({ error: error.code ?? error.name, why: error.message });
const said = (body) => fetch("/said", { method: "POST", body });

/* Each text's ids and offsets, as tests/exporting/token_texts.py reads them. */
async function tokens() {
  const { Core } = await import(`${job.site}core.js`);
  const open = await Core.open(new URL(job.model, location).href, { cache: false });
  for (let at = 0; at < job.batches; at++) {
    const texts = await (await fetch(`/texts/${at}`)).json();
    const numbers = [];
    const began = performance.now();
    for (const text of texts) {
      const { ids, offsets } = await open.call("encode", [text]);
      numbers.push(ids.length);
      ids.forEach((id, i) => numbers.push(id, ...offsets[i]));
    }
    await fetch(`/tokens/${at}?${performance.now() - began}`, { method: "POST", body: Int32Array.from(numbers) });
  }
  return {};
}

async function calls() {
  const { Edgewright } = await import(`${job.site}edgewright.js`);
  const seen = [];
  const model = await Edgewright.open(job.model, { ...job.options, progress: (at) => seen.push(at) });
  const answers = [await model.run(...job.calls[0]).catch(told)];
  const first = performance.now(); // from the page's navigation on
  answers.push(...(await Promise.all(job.calls.slice(1).map((one) => model.run(...one).catch(told)))));
  const check = await model.check().catch(told);
  const waiting = model.run(...job.calls[0]).catch(told);
  model.close();
  const late = [await waiting, await model.run("late").catch(told)];
  return { answers, first, check, late, progress: seen.at(-1), isolated: crossOriginIsolated, secure: isSecureContext };
}

/* What is written after each prompt, one after the other; of an item [asked, settings, n] the loop is left after n pieces. */
async function writing() {
  const { Edgewright } = await import(`${job.site}edgewright.js`);
  const model = await Edgewright.open(job.model, job.options);
  const opened = performance.now();
  const answers = [];
  for (const [asked, settings, leave] of job.items) {
    const pieces = [];
    try {
      for await (const piece of model.stream(asked, settings)) if (pieces.push(piece) === leave) break;
      answers.push({ pieces, ...model.last });
    } catch (error) {
      answers.push(told(error));
    }
  }
  const check = await model.check().catch(told);
  model.close();
  return { opened, chats: model.chats, answers, check };
}

/* The demonstration page, as a person uses it. */
async function demo() {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.src = `${job.site}index.html`;
  const at = (id) => frame.contentDocument?.getElementById(id);
  const until = async (ready) => {
    while (!ready()) await new Promise((go) => setTimeout(go, 20));
  };
  await until(() => at("form") && !at("form").hidden);
  at("text").value = job.text;
  at("form").requestSubmit();
  if (job.writes) {
    await until(() => at("said").lastElementChild?.textContent);
    if (job.stops) at("stop").click();
    await until(() => at("stop").hidden);
    return { answer: at("said").lastElementChild.textContent, state: at("state").textContent };
  }
  await until(() => at("answer").textContent);
  return { answer: JSON.parse(at("answer").textContent) };
}

try {
  await said(JSON.stringify(await { tokens, calls, writing, demo }[job.kind](job), plain));
} catch (error) {
  await said(JSON.stringify(told(error)));
}
