// The openai SDK for Node: `node client.mjs BASE_URL MODEL whole|stream|parallel|leave|embeddings [RETRIES]`.
// Prints a JSON value a line: texts as they come, or the error that was thrown.
import OpenAI from "openai";

const [baseURL, model, mode, retries = "0"] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "test-key", maxRetries: Number(retries), timeout: 20_000 });
const call = { model, temperature: 0, max_tokens: 30, messages: [{ role: "user", content: "tell" }] };
const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");

const whole = async () => (await client.chat.completions.create(call)).choices[0].message.content;

async function* pieces() {
  for await (const chunk of await client.chat.completions.create({ ...call, stream: true })) {
    yield chunk.choices[0].delta.content ?? "";
  }
}

async function collect() {
  let text = "";
  for await (const piece of pieces()) text += piece;
  return text;
}

const embedding = async (input) => (await client.embeddings.create({ model, input })).data.map((row) => row.embedding);

const modes = {
  whole: async () => print(await whole()),
  stream: async () => { for await (const piece of pieces()) print(piece); },
  parallel: async () => print(await Promise.all(Array.from({ length: 16 }, (_, n) => (n % 2 ? whole() : collect())))),
  embeddings: async () => print(await Promise.all(Array.from({ length: 8 }, (_, n) => embedding([`text ${n}`, `${n}`])))),
  leave: async () => { for await (const piece of pieces()) { print(piece); break; } },
};

try {
  await modes[mode]();
} catch (error) {
  print({
    kind: error.constructor.name,
    isAPIError: error instanceof OpenAI.APIError,
    status: error.status ?? null,
    message: error.message,
    code: error.code ?? null,
    sidecar: error.headers?.get("x-sidecar-error") ?? null,
    requestID: error.requestID ?? null,
  });
}
