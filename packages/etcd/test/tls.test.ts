/** etcd behind TLS: with users, with client certificates, and what is said when the certificates do not fit. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runNode } from "@dlock-tooling/faults";
import { endWithThisProcess, freePort, startEtcd } from "@dlock-tooling/services";
import etcd3, { type IOptions } from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { etcdDriver } from "../src/index.ts";
import { call, claim, eventually, failure, grant, unique } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "dlock-etcd-tls-"));
const file = (name: string) => join(folder, name);
/** Self-signed: whoever trusts it names it as its own root. */
function certify(name: string): { cert: string; key: string } {
  const [cert, key] = [file(`${name}.pem`), file(`${name}-key.pem`)];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", ...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "pipe" });
  return { cert, key };
}
const server = certify("server");
const user = certify("client");
const rootCertificate = readFileSync(server.cert);
const withCertificate = { rootCertificate, privateKey: readFileSync(user.key), certChain: readFileSync(user.cert) };

/** Where this is set, gRPC trusts the roots in that file instead of those of Node. */
const unset = { GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: "" };

const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
  rmSync(folder, { recursive: true });
});

/** The address of a new etcd that speaks TLS only. */
async function start(credentials: IOptions["credentials"], ...args: string[]): Promise<string> {
  const address = `https://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const own = ["--data-dir", file(`data-${ends.length}`), "--cert-file", server.cert, "--key-file", server.key, "--bcrypt-cost", "4"];
  const clients = ["--listen-client-urls", address, "--advertise-client-urls", address];
  const peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`];
  const child = spawn("etcd", [...own, ...clients, ...peers, ...args], { stdio: "ignore" });
  const forget = endWithThisProcess(child.pid as number);
  ends.push(async () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    forget();
  });
  const driver = etcdDriver({ connection: { hosts: address, ...(credentials && { credentials }) } });
  await eventually("etcd answers", () =>
    driver.ping({ timeoutMs: 1_000 }).then(
      () => true,
      () => false,
    ),
  );
  await driver.close();
  return address;
}

describe("etcd behind TLS", () => {
  const password = "s3cret/pass";
  let address: string;
  beforeAll(async () => {
    address = await start({ rootCertificate });
    const client = new etcd3.Etcd3({ hosts: address, credentials: { rootCertificate } });
    await client.user("root").create(password);
    // A server may have made the role already.
    await client.auth.roleAdd({ name: "root" }).catch(() => {});
    await client.user("root").addRole("root");
    await client.auth.authEnable();
    client.close();
  }, 60_000);

  it("grants, renews, wakes and releases to a user with a password", async () => {
    const connection = { hosts: address, credentials: { rootCertificate }, auth: { username: "root", password } };
    const driver = etcdDriver({ connection });
    await driver.ping(call);
    const wish = claim(unique("key"));
    const token = await grant(driver, wish);
    expect(await driver.extend([{ ...wish, token, longestMs: 30_000 }], call)).toEqual([true]);
    expect((await driver.inspect(wish.key, call)).map((holder) => holder.owner)).toEqual([wish.owner]);
    let woken = 0;
    const stop = await driver.watch?.({ key: wish.key, owner: "somebody" }, () => {
      woken += 1;
    });
    expect(await driver.release([{ ...wish, token }], call)).toEqual([true]);
    await eventually("the watch works", () => woken > 0);
    stop?.();
    await driver.close();
  });

  it("takes a user's own client", async () => {
    const client = new etcd3.Etcd3({ hosts: address, credentials: { rootCertificate }, auth: { username: "root", password } });
    const driver = etcdDriver({ client });
    await grant(driver, claim(unique("key")));
    await driver.close();
    client.close();
  });

  it("is reached by a URL, with a root that Node was told of", async () => {
    const url = new URL(`${address.replace("https:", "etcd:")}?tls=true`);
    url.username = "root";
    url.password = encodeURIComponent(password);
    const script = fileURLToPath(new URL("./fixtures/tls.mjs", import.meta.url));
    const program = runNode(script, [url.href], { NODE_EXTRA_CA_CERTS: server.cert, ...unset });
    await program.line(/^token \d+$/);
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it("refuses a wrong password with a clear error that does not show it", async () => {
    const auth = { username: "root", password: "wr0ng-pass" };
    const driver = etcdDriver({ connection: { hosts: address, credentials: { rootCertificate }, auth } });
    const error = await failure(driver, claim(unique("key")));
    expect(error).toMatchObject({ applied: "no", retryable: false });
    expect(error.message).toContain("check the user name and the password");
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error)) + error.stack).not.toContain("wr0ng-pass");
    await driver.close();
  });

  it.each([
    ["who does not trust its certificate", () => ({ hosts: address }), ["self-signed certificate", "check the certificates"]],
    ["who speaks none", () => ({ hosts: address.replace("https:", "http:") }), ["if it speaks TLS there, use https://"]],
  ])("is a clear error to %s", async (_, connection, said) => {
    const driver = etcdDriver({ connection: connection() });
    const error = await failure(driver, claim(unique("key")));
    expect(error).toMatchObject({ applied: "no", cause: { code: 14 } });
    for (const part of [address.slice("https://".length), ...said]) expect(error.message).toContain(part);
    await driver.close();
  });

  it("is missed with a clear error where etcd speaks none", async () => {
    const plain = await startEtcd();
    const driver = etcdDriver({ url: `${plain.url.replace("http:", "etcd:")}?tls=true` });
    expect((await failure(driver, claim(unique("key")))).message).toContain("if it does not speak TLS there");
    await driver.close();
    await plain.stop();
  });
});

describe("etcd that wants client certificates", () => {
  let address: string;
  beforeAll(async () => {
    address = await start(withCertificate, "--client-cert-auth", "--trusted-ca-file", user.cert);
  }, 60_000);

  it("grants to who shows one", async () => {
    const driver = etcdDriver({ connection: { hosts: address, credentials: withCertificate } });
    expect(await grant(driver, claim(unique("key")))).toBeGreaterThan(0n);
    await driver.close();
  });

  it("is a clear error to who shows none", async () => {
    const driver = etcdDriver({ connection: { hosts: address, credentials: { rootCertificate } } });
    const error = await failure(driver, claim(unique("key")));
    expect(error.applied).toBe("no");
    // The second is what TLS 1.3 has for it, and newer etcd says.
    expect(error.message).toMatch(/bad certificate|certificate required/);
    expect(error.message).toContain("the client certificate in the credentials");
    await driver.close();
  });
});
