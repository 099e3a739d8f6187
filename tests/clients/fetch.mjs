// What a page or a service in JavaScript does with fetch; prints one object of findings.
import { createHash } from "node:crypto";

const [base, size] = [argv[0], Number(argv[1])];
const sha256 = async (body) => {
  const hash = createHash("sha256");
  let total = 0;
  for await (const piece of body) {
    hash.update(piece);
    total += piece.length;
  }
  return [total, hash.digest("hex")];
};

const small = [];
for (let number = 0; number < 100; number++) {
  const answer = await fetch(`${base}/echo`, { method: "POST", body: JSON.stringify({ number }) });
  small.push((await answer.json()).number);
}

const many = await Promise.all(Array.from({ length: 60 }, (_, n) => fetch(`${base}/body/${n + 1}`).then((a) => a.arrayBuffer())));

const known = await sha256((await fetch(`${base}/body/${size}`)).body);
const chunked = await sha256((await fetch(`${base}/body/${size}?chunked=1`)).body);

const source = (await fetch(`${base}/body/${size}`)).body;
const up = await (await fetch(`${base}/digest`, { method: "POST", body: source, duplex: "half" })).json();
const whole = await (await fetch(`${base}/body/${size}`)).arrayBuffer();
const upKnown = await (await fetch(`${base}/digest`, { method: "POST", body: whole })).json();

const redirect = await fetch(`${base}/redirect/307`, { redirect: "manual" });
await redirect.arrayBuffer();
const zipped = await (await fetch(`${base}/zipped`)).json();
const head = await fetch(`${base}/body/1000`, { method: "HEAD" });
const cookies = await fetch(`${base}/cookies`);
await cookies.arrayBuffer();

const events = await (await fetch(`${base}/events?count=50&gap=0.001`)).text();
const leaving = new AbortController();
const endless = (await fetch(`${base}/events?gap=0.002&from=node`, { signal: leaving.signal })).body.getReader();
const first = new TextDecoder().decode((await endless.read()).value);
leaving.abort();
const after = (await endless.read().catch((error) => error)).name;

console.log(JSON.stringify({
  small, many: many.map((body) => body.byteLength), known, chunked, up, upKnown,
  redirect: [redirect.status, redirect.headers.get("location")],
  zipped: zipped.zipped.length, head: [head.status, head.headers.get("content-length")],
  cookies: cookies.headers.getSetCookie().length, events, first, after,
}));
