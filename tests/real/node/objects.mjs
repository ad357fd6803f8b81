// What the SDKs for Node make of replies: `node objects.mjs BASE_URL MODE`, a JSON value a line.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [url, mode] = process.argv.slice(2);
const options = { apiKey: "test-key", maxRetries: 0, timeout: 20_000 };
const openai = new OpenAI({ baseURL: `${url}/v1`, ...options });
const anthropic = new Anthropic({ baseURL: url, ...options });
const messages = [{ role: "user", content: "x" }];
const chat = { model: "m", messages };
const thinking = { type: "enabled", budget_tokens: 1024 };
const message = { model: "claude-opus-4-5", max_tokens: 2000, thinking, messages };

const modes = {
  chat: () => openai.chat.completions.create(chat),
  "chat-stream": () => openai.chat.completions.create({ ...chat, stream: true }),
  "responses-stream": () => openai.responses.create({ model: "m", input: "x", stream: true }),
  messages: () => anthropic.messages.create(message),
  "messages-stream": () => anthropic.messages.create({ ...message, stream: true }),
  "messages-final": () => anthropic.messages.stream(message).finalMessage(),
};

const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const found = await modes[mode]();
if (found[Symbol.asyncIterator]) for await (const each of found) print(each);
else print(found);
