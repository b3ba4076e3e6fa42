/** CPU profiles of dlock's own turns, so that a shortfall can be explained: one file for each turn, and where the time of all of them went. */
import { mkdirSync, writeFileSync } from "node:fs";
import { type Profiler as Protocol, Session } from "node:inspector";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Contest, Contestant } from "./contest.js";

const named = 25;

export class Profiler {
  readonly #folder: string;
  readonly #session = new Session();
  /** Microseconds by function. */
  readonly #selfTimes = new Map<string, number>();

  /** @param folder made if it is not there. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#session.connect();
  }

  /** The same contestant, watched while it is its turn after the warm-up; others as they are. */
  watch({ title }: Contest, contestant: Contestant): Contestant {
    if (!contestant.name.startsWith("dlock")) return contestant;
    let turn = 0;
    return {
      ...contestant,
      warmUp: () => contestant.warmUp?.() ?? contestant.round(),
      round: async () => {
        await this.#post("Profiler.enable");
        await this.#post("Profiler.start");
        const round = await contestant.round();
        const { profile } = await this.#post<Protocol.StopReturnType>("Profiler.stop");
        const file = `${title} ${contestant.name} ${turn++}`.replaceAll(/[^\w]+/g, "-");
        writeFileSync(join(this.#folder, `${file}.cpuprofile`), JSON.stringify(profile));
        this.#add(profile);
        return round;
      },
    };
  }

  /** The functions that took most, with their shares of the time that was not spent waiting. */
  summary(): string {
    const busy = [...this.#selfTimes].filter(([name]) => name !== "(idle)");
    const all = busy.reduce((sum, [, micros]) => sum + micros, 0);
    return busy
      .sort(([, one], [, other]) => other - one)
      .slice(0, named)
      .map(([name, micros]) => `${((micros / all) * 100).toFixed(1).padStart(5)} %  ${name}`)
      .join("\n");
  }

  #add({ nodes, samples = [], timeDeltas = [] }: Protocol.Profile): void {
    const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
    for (const [index, id] of samples.entries()) {
      const name = names.get(id) as string;
      this.#selfTimes.set(name, (this.#selfTimes.get(name) ?? 0) + (timeDeltas[index] ?? 0));
    }
  }

  #post<Result>(method: string): Promise<Result> {
    return new Promise((resolve, reject) =>
      this.#session.post(method, (error, result) => (error === null ? resolve(result as Result) : reject(error))),
    );
  }
}

const root = fileURLToPath(new URL("../../..", import.meta.url));

function nameOf({ functionName, url, lineNumber }: { functionName: string; url: string; lineNumber: number }): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  if (url === "") return name;
  const file = url
    .replace("file://", "")
    .replace(root, "")
    .replace(/^.*node_modules\//, "");
  return `${name}  ${file}:${lineNumber + 1}`;
}
