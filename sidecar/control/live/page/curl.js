// A call as a curl command. It has no secret, as records have none; the body is one to begin with.

/** Quote *text* for a POSIX shell. */
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const KEYS = {
  anthropic: ['-H "x-api-key: $ANTHROPIC_API_KEY"', "-H 'anthropic-version: 2023-06-01'"],
  gemini: ['-H "x-goog-api-key: $GEMINI_API_KEY"'],
  azure: ['-H "api-key: $AZURE_OPENAI_API_KEY"'],
};
const HELLO = [{ role: 'user', content: 'Hello' }];

function bodyOf(call) {
  const model = call.model || 'MODEL';
  const stream = call.stream ? { stream: true } : {};
  if (/\/embeddings$/.test(call.path)) return { model, input: 'Hello' };
  if (/\/responses$/.test(call.path)) return { model, input: 'Hello', ...stream };
  if (/\/messages$/.test(call.path)) return { model, max_tokens: 64, messages: HELLO, ...stream };
  if (/:(stream)?generateContent$/i.test(call.path)) return { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] };
  if (/\/completions$/.test(call.path) && !/\/chat\//.test(call.path)) return { model, prompt: 'Hello', ...stream };
  return { model, messages: HELLO, ...stream };
}

/** The command that makes a call like *call* at the listener at *address*. */
export function curlOf(call, address) {
  const method = call.method || 'POST';
  const at = address && !address.startsWith('/') ? address.replace('0.0.0.0', '127.0.0.1') : 'localhost';
  const socket = address?.startsWith('/') ? ['--unix-socket', quoted(address)] : [];
  const first = ['curl', ...(call.stream ? ['-N'] : []), ...socket, ...(method === 'POST' || method === 'GET' ? [] : ['-X', quoted(method)]),
    quoted(`http://${at}${call.path || '/'}`)].join(' ');
  const lines = [first, ...(KEYS[call.dialect] ?? ['-H "authorization: Bearer $OPENAI_API_KEY"'])];
  if (method !== 'GET' && method !== 'HEAD' && method !== 'DELETE') {
    lines.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(bodyOf(call)))}`);
  }
  return lines.join(' \\\n  ');
}
