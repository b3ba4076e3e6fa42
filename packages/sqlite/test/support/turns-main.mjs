// One of two processes whose tasks all want the same key: argv is the database, the log that the holder appends to, and the number of sections.
import { appendFileSync } from "node:fs";
import { createLockProvider } from "@dlock/core";
import { sqliteDriver } from "../../dist/index.js";

const [path, log, sections] = process.argv.slice(2);
const locks = createLockProvider(sqliteDriver(path, { synchronous: "normal" }), { handOff: { max: 4 }, waitMs: 60_000 });

process.once("message", async () => {
  let left = Number(sections);
  const task = async () => {
    while (left-- > 0) await locks.withLock("key", () => appendFileSync(log, `${process.pid}\n`));
  };
  await Promise.all(Array.from({ length: 8 }, task));
  await locks.close();
  process.disconnect();
});
process.send("ready");
