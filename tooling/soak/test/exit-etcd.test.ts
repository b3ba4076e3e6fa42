/** Processes with locks in etcd end after close(). */
import { startEtcd } from "@dlock-tooling/services";
import { endsWhateverHappens, ofOne, type Server } from "./support/exit.ts";

async function member(urlOf: (url: string) => string): Promise<Server> {
  const { members } = await startEtcd();
  const [only] = members;
  if (only === undefined) throw new Error("a cluster of etcd has a member");
  return ofOne(Promise.resolve(only), urlOf);
}

endsWhateverHappens("etcd", () => member((url) => url.replace("http:", "etcd:")));
// Only a wait is another.
endsWhateverHappens("a queue in etcd", () => member((url) => `${url.replace("http:", "etcd:")}?strategy=mutex`), ["waiting"]);
