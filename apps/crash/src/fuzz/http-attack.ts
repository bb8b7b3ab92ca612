// HTTP that is none, and HTTP that Engine.IO does not expect.
import { defaultLimits } from "@orrery/hub-core";
import type { Chance } from "./chance.ts";
import { textFrame } from "./frames.ts";
import { handshakeOf } from "./handshake.ts";
import { hostileText, hostileValue } from "./hostile.ts";
import { jsonText } from "./json-text.ts";
import type { Speaker } from "./messages.ts";
import type { Saying } from "./saying.ts";

const kinds = {
  "random bytes": 2,
  "cut off": 2,
  "large headers": 1,
  "many headers": 1,
  "wrong method": 2,
  "wrong path": 2,
  "wrong query": 4,
  "wrong version": 1,
  "wrong upgrade": 4,
  "two lengths": 2,
  "length and chunks": 3,
  "wrong chunks": 2,
  "odd origin": 2,
  "requests behind an upgrade": 2,
  "polling, opened": 4,
  "polling, said": 6,
  "polling, said wrongly": 4,
  "polling, said too much": 0.3,
  "polling, content type": 2,
  "polling, unknown sid": 2,
  "polling, two at once": 2,
  "upgrade of a sid": 3,
} as const;

/** The hub's bound on a message, with what goes past it. Bytes. */
const tooMany = 1.05 * defaultLimits.messageBytes;
const path = "/socket.io/?EIO=4&transport=polling";
const webSocketPath = "/socket.io/?EIO=4&transport=websocket";

interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly version?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
  /** What it says that its body takes; null: nothing. Default: the truth, where there is a body. Bytes. */
  readonly toldLength?: number | null;
}

/** As it goes over the wire, with nothing checked. */
export function requestText({
  method = "GET",
  path = "/",
  version = "HTTP/1.1",
  headers = [],
  body = "",
  toldLength = body === "" ? null : Buffer.byteLength(body),
}: Request): string {
  const length = toldLength === null ? [] : [["Content-Length", String(toldLength)] as const];
  const lines = [["Host", "127.0.0.1"] as const, ...headers, ...length].map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `${[`${method} ${path} ${version}`, ...lines].join("\r\n")}\r\n\r\n${body}`;
}

/** The upgrade of a healthy client. `key`: 16 bytes as base64. */
export const upgradeText = (key: string, webSocket = webSocketPath): string =>
  requestText({ path: webSocket, headers: upgradeHeaders(key) });

const upgradeHeaders = (key: string) =>
  [
    ["Connection", "Upgrade"],
    ["Upgrade", "websocket"],
    ["Sec-WebSocket-Version", "13"],
    ["Sec-WebSocket-Key", key],
  ] as const;

/** What goes over one TCP connection. `ownSid`: of the polling connection that the same attacker opened before. */
export function sayHttp(chance: Chance, speaker: Speaker, ownSid?: string): Saying {
  const [any, opens] = [chance.weighted(kinds), chance.oneIn(3)];
  const kind = ownSid === undefined && opens ? "polling, opened" : any;
  const others = speaker.known.sid(chance);
  const said = textOf(kind, chance, speaker, chance.oneIn(3) ? others : (ownSid ?? others));
  return { name: `http: ${kind}`, bytes: typeof said === "string" ? Buffer.from(said) : said };
}

function textOf(
  kind: keyof typeof kinds,
  chance: Chance,
  { identity, issuer }: Speaker,
  sid: string,
): string | Buffer {
  const key = chance.bytes(16).toString("base64");
  const upgrade = upgradeHeaders(key);
  const ofSid = `${path}&sid=${sid}`;
  const post = (body: string, more: Request = {}) =>
    requestText({ method: "POST", path: ofSid, body, headers: [["Content-Type", "text/plain"]], ...more });
  const connect = `40/parcels,${JSON.stringify(handshakeOf(identity, "batched", issuer).auth)}`;
  switch (kind) {
    case "random bytes":
      return chance.bytes(1 + chance.below(600));
    case "cut off": {
      const whole = post(connect, { toldLength: 10_000 });
      return whole.slice(0, chance.below(whole.length));
    }
    case "large headers":
      return requestText({ path, headers: [["X-Large", "x".repeat(chance.pick([8_000, 20_000, 200_000]))]] });
    case "many headers":
      return requestText({ path, headers: Array.from({ length: 3_000 }, (_, place) => [`X-${place}`, "1"]) });
    case "wrong method":
      return requestText({
        method: chance.pick([
          "PUT",
          "DELETE",
          "OPTIONS",
          "TRACE",
          "HEAD",
          "CONNECT",
          "PATCH",
          "BREW",
          "get",
          "",
        ]),
        path: chance.oneIn(2) ? path : ofSid,
      });
    case "wrong path":
      return requestText({
        path: chance.pick([
          "/",
          "*",
          "//socket.io//",
          "/socket.io",
          "/socket.io/../../etc/passwd",
          "http://other.example/socket.io/?EIO=4&transport=polling",
          "/socket.io/%00",
          "/socket.io/%E0%A4%A",
          "/socket.io/socket.io.js",
          `/${"x".repeat(4_000)}`,
          "?EIO=4&transport=polling",
        ]),
      });
    case "wrong query":
      return requestText({
        path: `/socket.io/?${chance.pick([
          "",
          "EIO=3&transport=polling",
          "EIO=4",
          "EIO=4&transport=webtransport",
          "EIO=4&transport=__proto__",
          "EIO=4&EIO=4&transport=polling",
          "EIO=4&transport=polling&transport=websocket",
          "EIO[]=4&transport[x]=polling",
          "EIO=4&transport=polling&sid=__proto__",
          "EIO=4&transport=polling&sid=constructor",
          `EIO=4&transport=polling&sid=${sid}&sid=${sid}`,
          "EIO=4&transport=polling&sid=",
          "EIO=4&transport=polling&sid=%FF%FE",
          "EIO=4&transport=polling&j=0;alert(1)",
          "EIO=4&transport=polling&b64=1",
          `EIO=4&transport=polling&${"a=1&".repeat(2_000)}`,
        ])}`,
      });
    case "wrong version":
      return requestText({
        path,
        version: chance.pick(["HTTP/0.9", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "XTTP/1.1", ""]),
      });
    case "wrong upgrade":
      return requestText({
        path: chance.pick([
          webSocketPath,
          path,
          "/",
          `${webSocketPath}&sid=nobody`,
          "/socket.io/?EIO=3&transport=websocket",
        ]),
        headers: chance.pick([
          [
            ["Connection", "Upgrade"],
            ["Upgrade", "h2c"],
          ],
          [
            ["Connection", "Upgrade"],
            ["Upgrade", "websocket"],
          ],
          [...upgrade.slice(0, 2), ["Sec-WebSocket-Version", "12"], ["Sec-WebSocket-Key", key]],
          [...upgrade.slice(0, 3), ["Sec-WebSocket-Key", "short"]],
          [...upgrade, ["Sec-WebSocket-Key", key]],
          [...upgrade, ["Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99"]],
          [...upgrade, ["Sec-WebSocket-Protocol", "a, a, (b)"]],
          [...upgrade, ["Origin", "https://elsewhere.example"]],
          [...upgrade, ["Content-Length", "100"]],
        ] as const),
      });
    case "two lengths":
      return requestText({ method: "POST", path: ofSid, body: "2", headers: [["Content-Length", "5"]] });
    case "length and chunks":
      return requestText({
        method: "POST",
        path: ofSid,
        headers: [
          [
            "Transfer-Encoding",
            chance.pick(["chunked", "Chunked", "identity, chunked", "xchunked", "chunked, x"]),
          ],
        ],
        body: `0\r\n\r\n${requestText({ path })}`,
        toldLength: chance.pick([4, 5, 500]),
      });
    case "wrong chunks":
      return requestText({
        method: "POST",
        path: ofSid,
        headers: [["Transfer-Encoding", "chunked"]],
        body: chance.pick(["x\r\n", "-1\r\n", "FFFFFFFFFFFFFFFFF\r\n", "1;x=\u0000\r\n4\r\n", "5\r\nab"]),
        toldLength: null,
      });
    case "odd origin":
      return requestText({
        path,
        headers: [
          [
            "Origin",
            chance.pick([
              "null",
              "https://elsewhere.example",
              "http://127.0.0.1.elsewhere.example",
              "http://[",
              "\u00ff",
              "file://",
            ]),
          ],
        ],
      });
    case "requests behind an upgrade":
      return upgradeText(key) + requestText({ path }) + requestText({ path: "/" });
    case "polling, opened":
      return requestText({ path });
    case "polling, said":
      return post(
        chance.pick([
          connect,
          connect,
          "3",
          '42/parcels,1["hub:groups",{}]',
          `${connect}\u001e42/parcels,1["hub:listen",{"events":["pickup"]}]\u001e41/parcels,`,
          `42/parcels,2["hub:listen",{"events":["pickup"],"after":"start"}]`,
          "1",
        ]),
      );
    case "polling, said wrongly":
      return post(
        chance.pick([
          "",
          "\u001e\u001e\u001e",
          "9",
          "4",
          `42/parcels,${jsonText(hostileValue(chance))}`,
          `4${hostileText(chance)}`,
          "bAAEC\u001eb",
          "d=4",
          "3:40,",
          `${"4\u001e".repeat(5_000)}4`,
        ]),
        chance.oneIn(3) ? { toldLength: 3 } : {},
      );
    case "polling, said too much":
      return post(`4${"x".repeat(tooMany)}`);
    case "polling, content type":
      return post(connect, {
        headers: [
          [
            "Content-Type",
            chance.pick([
              "application/octet-stream",
              "application/json",
              "multipart/form-data",
              "text/plain;charset=utf-16",
              "",
              "x",
            ]),
          ],
          ["Content-Encoding", "gzip"],
        ],
      });
    case "polling, unknown sid":
      return requestText({
        path: `${path}&sid=${hostileText(chance)
          .replaceAll(/[^\x21-\x7e]/g, "%20")
          .slice(0, 200)}`,
      });
    case "polling, two at once":
      return requestText({ path: ofSid }) + requestText({ path: ofSid }) + post("3") + post("3");
    case "upgrade of a sid":
      return Buffer.concat([
        Buffer.from(upgradeText(key, `${webSocketPath}&sid=${sid}`)),
        ...["2probe", "5", connect].map(textFrame),
      ]);
  }
}
