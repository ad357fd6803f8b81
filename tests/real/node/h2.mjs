// A server and a client that speak nothing but HTTP/2: `node h2.mjs serve PEM`, `call URL CA`.
import http2 from "node:http2";
import { readFileSync } from "node:fs";

const [mode, where, file] = process.argv.slice(2);
if (mode === "serve") {
  const pem = readFileSync(where);
  const server = http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: false });
  server.on("stream", (stream) => stream.end("over h2"));
  server.listen(8443, "::", () => console.log("ready"));
} else {
  const session = http2.connect(where, { ca: readFileSync(file) });
  const stream = session.request({ ":path": "/" });
  stream.setEncoding("utf8");
  for await (const text of stream) process.stdout.write(text);
  session.close();
}
