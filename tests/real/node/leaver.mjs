// Streams that are given up, and calls between them: `node leaver.mjs BASE_URL`.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "test-key", timeout: 20_000 });
const call = { model: "m", messages: [{ role: "user", content: "tell" }] };
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

for (let round = 0; round < 5; round++) {
  let seen = 0;
  for await (const _ of await client.chat.completions.create({ ...call, stream: true })) if (++seen === 2) break;
  await pause();
  for await (const _ of await client.chat.completions.create({ ...call, stream: true })) seen++;
  await pause();
  console.log((await client.chat.completions.create(call)).choices[0].message.content);
}
