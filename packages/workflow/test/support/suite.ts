/** The locks of workflows as one application sees them, over any backend. */
import { hostname } from "node:os";
import {
  type Backend,
  createLockManager,
  createLockProvider,
  createLockProviderFromUrl,
  DeadlockError,
  type Lock,
  LockLostError,
  type LockProvider,
  LockTimeoutError,
  ProviderClosedError,
  type ProviderOptions,
  registerBackend,
} from "@dlock/core";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  createWorkflowLocks,
  createWorkflowLocksFromConfig,
  WorkflowAlreadyRunningError,
  type WorkflowEvents,
  type WorkflowLocks,
  workflowLocks,
} from "../../src/index.ts";

/** A promise and how to settle it. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

export async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    (value) => Promise.reject(new Error(`expected a rejection, got ${JSON.stringify(value)}`)),
    (error: unknown) => error,
  );
}

/** What an event told so far. */
function record<N extends keyof WorkflowEvents>(locks: WorkflowLocks, name: N): WorkflowEvents[N][] {
  const told: WorkflowEvents[N][] = [];
  locks.on(name, (event) => told.push(event));
  return told;
}

function logLines() {
  const lines: { level: string; message: string; [field: string]: unknown }[] = [];
  const to = (level: string) => (fields: Record<string, unknown>, message: string) => void lines.push({ level, ...fields, message });
  return { lines, logger: { debug: to("debug"), info: to("info"), warn: to("warn"), error: to("error") } };
}

/**
 * @param name what the backend is registered under.
 * @param url where to find it; asked for again and again, and may be another place for each test. There are no locks of workflows yet.
 */
export function workflowSuite(name: string, backend: Backend, url: () => string): void {
  describe(`on ${name}`, () => {
    beforeAll(() => registerBackend(name, backend));

    let providers: LockProvider[] = [];
    afterEach(async () => {
      for (const provider of providers) await provider.close();
      providers = [];
    });

    /** Each is a client of its own, as another process would be. */
    async function provide(options: ProviderOptions = {}): Promise<LockProvider> {
      const provider = await createLockProviderFromUrl(url(), { sweepIntervalMs: 0, ...options });
      providers.push(provider);
      return provider;
    }

    describe("the lock of an execution", () => {
      test("has the seed's key and TTL, and an owner of the instance's id and chance", async () => {
        const provider = await provide({ instanceId: "web-1-a1b2c3d4" });
        const locks = createWorkflowLocks(provider);
        expect(locks.instanceId).toBe("web-1-a1b2c3d4");
        const handle = await locks.lockWorkflowExecution("exec_123");
        expect(handle.lockKey).toBe("workflow_execution:exec_123");
        expect(handle.executionId).toBe("exec_123");
        expect(handle.templateId).toBeUndefined();
        expect(handle.owner).toMatch(/^web-1-a1b2c3d4-[0-9a-f]{32}#0$/);
        expect(handle.token).toBe(handle.lock.token);
        const [holder] = await provider.inspect(handle.lockKey);
        expect(holder?.remainingMs).toBeGreaterThan(290_000);
        expect(holder?.remainingMs).toBeLessThanOrEqual(300_000);
        expect(await handle.unlock()).toBe(true);
        expect(await provider.isLocked(handle.lockKey)).toBe(false);
      });

      test("names each replica after its host unless an instance id is given", async () => {
        const ids = [await provide(), await provide()].map((provider) => createWorkflowLocks(provider).instanceId);
        const host = hostname()
          .replace(/[^\x21-\x7e]/g, "")
          .slice(0, 64);
        for (const id of ids) expect(id.slice(0, -9)).toBe(host);
        for (const id of ids) expect(id).toMatch(/-[0-9a-f]{8}$/);
        expect(ids[0]).not.toBe(ids[1]);
      });

      test("excludes other instances, and other calls of the same instance, at once", async () => {
        const here = createWorkflowLocks(await provide());
        const there = createWorkflowLocks(await provide());
        const handle = await here.lockWorkflowExecution("e");
        for (const locks of [here, there]) {
          const error = (await errorOf(locks.lockWorkflowExecution("e"))) as WorkflowAlreadyRunningError;
          expect(error).toBeInstanceOf(WorkflowAlreadyRunningError);
          expect(error.code).toBe("DLOCK_WORKFLOW_ALREADY_RUNNING");
          expect(error.executionId).toBe("e");
          expect(error.key).toBe("workflow_execution:e");
          expect(handle.owner.startsWith(error.holder?.owner as string)).toBe(true);
        }
        await handle.unlock();
        const next = await there.lockWorkflowExecution("e");
        expect(next.token).toBeGreaterThan(handle.token);
        await next.unlock();
      });

      test("can be refreshed, unlocked twice, and disposed of", async () => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider, { executionTtlMs: 60_000 });
        {
          await using handle = await locks.lockWorkflowExecution("e");
          await handle.refresh(120_000);
          expect((await provider.inspect(handle.lockKey))[0]?.remainingMs).toBeGreaterThan(100_000);
          expect(await handle.unlock()).toBe(true);
          expect(await handle.unlock()).toBe(true);
          expect(await errorOf(handle.refresh())).toMatchObject({ code: "DLOCK_NOT_HELD" });
        }
        expect(await provider.isLocked("workflow_execution:e")).toBe(false);
      });

      test("aborts its signal when it is lost", async () => {
        const provider = await provide();
        const handle = await createWorkflowLocks(provider).lockWorkflowExecution("e");
        const aborted = new Promise((resolve) => handle.signal.addEventListener("abort", () => resolve(handle.signal.reason)));
        await provider.close();
        expect(await aborted).toMatchObject({ code: "DLOCK_LOST", reason: "closed" });
        expect(await handle.unlock()).toBe(false);
      });
    });

    describe("the lock of a template", () => {
      test("has the seed's key and TTL, and is exclusive unless a limit is given", async () => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider, { templateRetryCount: 0 });
        const handle = await locks.lockWorkflowTemplate("t");
        expect([handle.lockKey, handle.templateId, handle.executionId]).toEqual(["workflow_template:t", "t", undefined]);
        expect(handle.lock.mode).toBe("exclusive");
        const [holder] = await provider.inspect(handle.lockKey);
        expect(holder?.remainingMs).toBeGreaterThan(590_000);
        expect(holder?.remainingMs).toBeLessThanOrEqual(600_000);
        expect(await errorOf(locks.lockWorkflowTemplate("t"))).toBeInstanceOf(LockTimeoutError);
        await handle.unlock();
      });

      test("lets so many in as the limit says", async () => {
        const locks = createWorkflowLocks(await provide(), { templateRetryCount: 0 });
        const handles = [];
        for (let i = 0; i < 3; i++) handles.push(await locks.lockWorkflowTemplate("t", { limit: 3 }));
        expect(await errorOf(locks.lockWorkflowTemplate("t", { limit: 3 }))).toMatchObject({ code: "DLOCK_TIMEOUT" });
        // Another limit counts the same holders.
        expect(await errorOf(locks.lockWorkflowTemplate("t"))).toMatchObject({ code: "DLOCK_TIMEOUT" });
        await handles.pop()?.unlock();
        handles.push(await locks.lockWorkflowTemplate("t", { limit: 3 }));
        for (const handle of handles) await handle.unlock();
      });

      test("is tried for twice again, after the delay, and then given up", async () => {
        const provider = await provide({ handOff: false });
        const locks = createWorkflowLocks(provider, { templateRetryDelayMs: 20 });
        const other = await provide();
        const held = await other.lock("workflow_template:t");
        let refusals = 0;
        let waitedMs = 0;
        provider.on("contended", () => refusals++);
        provider.on("timeout", (event) => {
          waitedMs = event.waitedMs;
        });
        const error = await errorOf(locks.lockWorkflowTemplate("t"));
        expect(error).toBeInstanceOf(LockTimeoutError);
        expect(waitedMs).toBeGreaterThanOrEqual(40);
        // And once more when the watch stands: the key could have come free before it did.
        expect(refusals).toBeGreaterThanOrEqual(3);
        await held.unlock();
      });

      test("is granted as soon as it comes free", async () => {
        const locks = createWorkflowLocks(await provide(), { templateRetryDelayMs: 60_000 });
        const other = createWorkflowLocks(await provide());
        const held = await other.lockWorkflowTemplate("t");
        const waiting = locks.lockWorkflowTemplate("t");
        await held.unlock();
        await (await waiting).unlock();
      });
    });

    describe("runExecution", () => {
      test("runs the body under both locks, says so, and leaves nothing behind", async () => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider);
        const result = await locks.runExecution("e", { templateId: "t", templateLimit: 2 }, async (execution) => {
          expect(execution).toMatchObject({ executionId: "e", templateId: "t", lockKey: "workflow_execution:e" });
          expect(execution.lock.token).toBe(execution.token);
          expect(execution.signal.aborted).toBe(false);
          expect(provider.currentLock("workflow_execution:e")).toBe(execution.lock);
          expect((provider.currentLock("workflow_template:t") as Lock).mode).toBe("shared");
          expect(await provider.isLocked("workflow_execution:e")).toBe(true);
          expect(await provider.isLocked("workflow_template:t")).toBe(true);
          return 42;
        });
        expect(result).toEqual({ ran: true, value: 42, skipped: undefined, heldBy: undefined });
        expect(await provider.isLocked("workflow_execution:e")).toBe(false);
        expect(await provider.isLocked("workflow_template:t")).toBe(false);
      });

      test("runs without a template, and without options", async () => {
        const locks = createWorkflowLocks(await provide());
        expect(await locks.runExecution("e", () => "value")).toMatchObject({ ran: true, value: "value" });
        expect(await locks.runExecution("e", {}, () => "again")).toMatchObject({ ran: true, value: "again" });
      });

      test("skips, or throws, when the execution runs elsewhere, and touches nothing else", async () => {
        const provider = await provide();
        const here = createWorkflowLocks(await provide());
        const there = createWorkflowLocks(provider);
        const done = gate();
        const started = gate();
        const running = here.runExecution("e", { templateId: "t", templateLimit: 2 }, async ({ owner }) => {
          started.open();
          await done.opened;
          return owner;
        });
        await started.opened;
        const conflicts = record(there, "conflict");
        const skipped = await there.runExecution("e", { templateId: "t", templateLimit: 2 }, () => "ran twice");
        expect(skipped).toMatchObject({ ran: false, value: undefined, skipped: "already-running" });
        const error = await errorOf(there.runExecution("e", { onConflict: "fail" }, () => "ran twice"));
        expect(error).toBeInstanceOf(WorkflowAlreadyRunningError);
        // Not even after the template's full limit: it is known that the execution runs.
        const full = await there.runExecution("e", { templateId: "t", templateLimit: 1, waitMs: 60_000 }, () => "ran twice");
        expect(full.skipped).toBe("already-running");
        expect((await provider.inspect("workflow_template:t")).length).toBe(1);
        done.open();
        const result = await running;
        expect(result.ran && result.value.startsWith(skipped.heldBy?.owner as string)).toBe(true);
        expect(conflicts.map(({ executionId, reason }) => [executionId, reason])).toEqual(Array(3).fill(["e", "already-running"]));
        expect(conflicts[0]?.heldBy).toEqual(skipped.heldBy);
      });

      test("waits for a place of the template, holding nothing, and gives up after waitMs", async () => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider);
        const place = await createWorkflowLocks(await provide()).lockWorkflowTemplate("t");
        const conflict = (onConflict: "skip" | "fail") => locks.runExecution("e", { templateId: "t", onConflict, waitMs: 30 }, () => 1);
        expect(await conflict("skip")).toMatchObject({ ran: false, skipped: "template-limit", heldBy: { mode: "exclusive" } });
        const error = (await errorOf(conflict("fail"))) as LockTimeoutError;
        expect(error).toMatchObject({ code: "DLOCK_TIMEOUT", key: "workflow_template:t" });
        expect(await locks.runExecution("e", { templateId: "t", waitMs: 0 }, () => 1)).toMatchObject({ skipped: "template-limit" });

        const waiting = locks.runExecution("e", { templateId: "t", waitMs: 60_000 }, () => "ran");
        // It was refused once at least when the execution is free again: from then on it holds nothing.
        await expect.poll(() => provider.stats().waiting).toBeGreaterThan(0);
        await expect.poll(() => provider.isLocked("workflow_execution:e")).toBe(false);
        await place.unlock();
        expect(await waiting).toMatchObject({ ran: true, value: "ran" });
      });

      test('with onConflict "wait" runs after the other has ended, or times out', async () => {
        const here = createWorkflowLocks(await provide());
        const there = createWorkflowLocks(await provide());
        const order: string[] = [];
        const done = gate();
        const started = gate();
        const first = here.runExecution("e", { templateId: "t" }, async () => {
          started.open();
          await done.opened;
          order.push("first");
        });
        await started.opened;
        const late = { templateId: "t", onConflict: "wait", waitMs: 30 } as const;
        expect(await errorOf(there.runExecution("e", late, () => order.push("too early")))).toMatchObject({ code: "DLOCK_TIMEOUT" });
        const second = there.runExecution("e", { ...late, waitMs: 60_000 }, () => order.push("second"));
        const third = here.runExecution("e", { ...late, waitMs: 60_000 }, () => order.push("third"));
        done.open();
        await Promise.all([first, second, third]);
        expect(order[0]).toBe("first");
        expect(order.slice(1).sort()).toEqual(["second", "third"]);
      });

      test("is not kept out for ever by traffic on the execution and on the template, and stops no traffic for long", async () => {
        const provider = await provide({ handOff: false });
        const locks = createWorkflowLocks(provider);
        let over = false;
        const traffic = async (key: string) => {
          while (!over) await provider.withLock(key, { waitMs: 60_000 }, () => {});
        };
        const busy = ["workflow_execution:e", "workflow_execution:e", "workflow_template:t", "workflow_template:t"].map(traffic);
        for (let i = 0; i < 5; i++) {
          const result = await locks.runExecution("e", { templateId: "t", onConflict: "wait", waitMs: 60_000 }, () => i);
          expect(result.value).toBe(i);
        }
        over = true;
        await Promise.all(busy);
      });

      test("throws what the body throws, and frees both locks", async () => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider);
        const finished = record(locks, "finished");
        const fault = new LockTimeoutError("someone else's key", 5);
        for (const onConflict of ["skip", "wait"] as const) {
          const run = locks.runExecution("e", { templateId: "t", onConflict }, () => Promise.reject(fault));
          expect(await errorOf(run)).toBe(fault);
        }
        expect(await provider.isLocked("workflow_execution:e")).toBe(false);
        expect(await provider.isLocked("workflow_template:t")).toBe(false);
        expect(finished.map(({ outcome }) => outcome)).toEqual(["failed", "failed"]);
      });

      test.each(["workflow_execution:e", "workflow_template:t"])(
        "aborts the body's signal when %s is lost, and says so at the end",
        async (key) => {
          const provider = await provide();
          const { lines, logger } = logLines();
          const locks = createWorkflowLocks(provider, { logger });
          const finished = record(locks, "finished");
          const run = locks.runExecution("e", { templateId: "t" }, async ({ signal }) => {
            const [holder] = await provider.inspect(key);
            const other = await provide();
            // As an operator does who frees a lock by hand; the next renewal then finds it gone.
            await other.unlock(key, holder?.owner as string);
            const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
            await errorOf((provider.currentLock(key) as Lock).refresh());
            await aborted;
            expect(signal.reason).toMatchObject({ code: "DLOCK_LOST", key });
            return "half done";
          });
          const error = (await errorOf(run)) as LockLostError;
          expect(error).toBeInstanceOf(LockLostError);
          expect(error).toMatchObject({ key, value: "half done" });
          expect(finished).toMatchObject([{ executionId: "e", templateId: "t", outcome: "lost" }]);
          expect(lines.at(-1)).toMatchObject({ level: "warn", execution_id: "e", outcome: "lost" });
          expect(await provider.isLocked("workflow_execution:e")).toBe(false);
          expect(await provider.isLocked("workflow_template:t")).toBe(false);
        },
      );

      test("ends a wait when the caller aborts, with the caller's reason", async () => {
        const locks = createWorkflowLocks(await provide());
        const place = await createWorkflowLocks(await provide()).lockWorkflowTemplate("t");
        const controller = new AbortController();
        const waiting = locks.runExecution("e", { templateId: "t", waitMs: 60_000, signal: controller.signal }, () => "ran");
        const reason = new Error("not needed any more");
        controller.abort(reason);
        expect(await errorOf(waiting)).toBe(reason);
        await place.unlock();
      });

      test("adds one round trip at most to the plain lock", async () => {
        const calls: string[] = [];
        const inner = await backend.fromUrl(new URL(url()));
        const counted = new Proxy(inner, {
          get(target, name) {
            // Decisions without a promise would pass by unseen.
            if (name === "immediate") return undefined;
            const value: unknown = Reflect.get(target, name);
            if (!["acquire", "release", "inspect", "extend"].includes(name as string))
              return typeof value === "function" ? value.bind(target) : value;
            return (...args: unknown[]) => {
              calls.push(name as string);
              return (value as (...args: unknown[]) => unknown).apply(target, args);
            };
          },
        });
        const provider = createLockProvider(counted, { sweepIntervalMs: 0 });
        providers.push(provider);
        const locks = createWorkflowLocks(provider);
        await locks.runExecution("e", () => {});
        expect(calls.splice(0)).toEqual(["acquire", "release"]);
        await locks.runExecution("e", { templateId: "t" }, () => {});
        expect(calls).toEqual(["acquire", "acquire", "release"]);
      });
    });

    describe("a nested execution", () => {
      const nested = { templateId: "t", waitMs: 60_000 } as const;

      test.each([1, 2])("of a template whose %i places its parents hold throws DeadlockError at once", async (templateLimit) => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider);
        const run = (depth: number): Promise<unknown> =>
          locks.runExecution(`e${depth}`, { ...nested, templateLimit }, () => run(depth + 1));
        const error = await errorOf(run(0));
        expect(error).toBeInstanceOf(DeadlockError);
        expect(error).toMatchObject({ key: "workflow_template:t" });
        expect(await provider.isLocked("workflow_template:t")).toBe(false);
      });

      test.each([1, 2])("takes part in its parent's place with reentrant, of %i, and does not free it", async (templateLimit) => {
        const provider = await provide();
        const locks = createWorkflowLocks(provider);
        const result = await locks.runExecution("parent", { ...nested, templateLimit }, async () => {
          const child = await locks.runExecution("child", { ...nested, templateLimit, reentrant: true }, () => "child ran");
          expect((await provider.inspect("workflow_template:t")).length).toBe(1);
          return child.value;
        });
        expect(result.value).toBe("child ran");
        expect(await provider.isLocked("workflow_template:t")).toBe(false);
      });

      test("runs beside its parent when detached, after it", async () => {
        const locks = createWorkflowLocks(await provide());
        const order: string[] = [];
        let child: Promise<unknown> | undefined;
        await locks.runExecution("parent", nested, () => {
          child = locks.runExecution("child", { ...nested, detached: true }, () => order.push("child"));
          order.push("parent");
        });
        await child;
        expect(order).toEqual(["parent", "child"]);
      });

      test("of itself is skipped, fails or is a deadlock, but never runs", async () => {
        const locks = createWorkflowLocks(await provide());
        await locks.runExecution("e", async () => {
          expect(await locks.runExecution("e", { reentrant: true }, () => "twice")).toMatchObject({ skipped: "already-running" });
          expect(await errorOf(locks.runExecution("e", { onConflict: "fail" }, () => "twice"))).toBeInstanceOf(WorkflowAlreadyRunningError);
          expect(await errorOf(locks.runExecution("e", { onConflict: "wait" }, () => "twice"))).toBeInstanceOf(DeadlockError);
        });
      });
    });

    describe("people", () => {
      test("read of every lock in the log: acquired, running elsewhere so skipped, released", async () => {
        const { lines, logger } = logLines();
        const locks = createWorkflowLocks(await provide(), { logger });
        const handle = await locks.lockWorkflowExecution("exec_123");
        await errorOf(locks.lockWorkflowExecution("exec_123"));
        await locks.runExecution("exec_123", () => {});
        await handle.unlock();
        const fields = { level: "info", component: "workflow_lock", lock_key: "workflow_execution:exec_123", execution_id: "exec_123" };
        const owner = handle.owner;
        const token = String(handle.token);
        expect(lines).toEqual([
          { ...fields, owner, token, message: "workflow lock acquired" },
          { ...fields, owner: expect.any(String), message: "workflow is already running elsewhere, skipped" },
          { ...fields, owner: expect.any(String), message: "workflow is already running elsewhere, skipped" },
          { ...fields, owner, token, message: "workflow lock released" },
        ]);
        lines.length = 0;
        await locks.runExecution("exec_124", { templateId: "t" }, () => {});
        const template = await locks.lockWorkflowTemplate("t");
        await locks.runExecution("exec_125", { templateId: "t", waitMs: 1 }, () => {});
        await errorOf(locks.runExecution("exec_126", { templateId: "t", waitMs: 1, onConflict: "wait" }, () => {}));
        await template.unlock();
        expect(lines.map(({ message, execution_id, template_id }) => [message, execution_id, template_id])).toEqual([
          ["workflow lock acquired", "exec_124", "t"],
          ["workflow lock released", "exec_124", "t"],
          ["workflow lock acquired", undefined, "t"],
          ["workflow template has no place free, skipped", "exec_125", "t"],
          ["workflow template has no place free, given up", "exec_126", "t"],
          ["workflow lock released", undefined, "t"],
        ]);
      });

      test("see in events what starts, ends and conflicts; a listener that throws breaks nothing", async () => {
        const { lines, logger } = logLines();
        const locks = createWorkflowLocks(await provide(), { logger });
        const [started, finished, conflict] = [record(locks, "started"), record(locks, "finished"), record(locks, "conflict")];
        const off = locks.on("started", () => {
          throw new Error("broken dashboard");
        });
        await locks.runExecution("e", { templateId: "t" }, async ({ owner, token }) => {
          expect(started).toEqual([
            {
              executionId: "e",
              templateId: "t",
              lockKey: "workflow_execution:e",
              owner,
              token: String(token),
              waitedMs: expect.any(Number),
            },
          ]);
          expect(finished).toEqual([]);
          await errorOf(locks.lockWorkflowExecution("e"));
        });
        expect(finished).toEqual([
          { executionId: "e", templateId: "t", lockKey: "workflow_execution:e", outcome: "completed", ranMs: expect.any(Number) },
        ]);
        expect(conflict).toMatchObject([{ executionId: "e", reason: "already-running" }]);
        expect(lines.filter(({ level }) => level === "error")).toMatchObject([{ err: { message: "broken dashboard" } }]);
        off();
        await locks.runExecution("e", () => {});
        expect(lines.filter(({ level }) => level === "error")).toHaveLength(1);
      });
    });

    describe("from a configuration", () => {
      test("a backend is one word, and close() ends the provider that was made for it", async () => {
        const { logger, lines } = logLines();
        const config = { provider: name, [name]: { url: url() }, defaultTtlMs: "1m" };
        const locks = await createWorkflowLocksFromConfig(config, { instanceId: "web-2", logger });
        const handle = await locks.lockWorkflowExecution("e");
        expect(handle.owner).toMatch(/^web-2-/);
        expect(lines.map(({ component }) => component)).toEqual(["dlock", "workflow_lock"]);
        await locks.close();
        expect(handle.signal.reason).toMatchObject({ reason: "closed" });
        await expect(locks.lockWorkflowExecution("f")).rejects.toBeInstanceOf(ProviderClosedError);
        await expect(locks.lockWorkflowTemplate("f")).rejects.toBeInstanceOf(ProviderClosedError);
        await expect(locks.runExecution("f", () => {})).rejects.toBeInstanceOf(ProviderClosedError);
        const wrong = { executionTtlMs: "5m" } as unknown as { executionTtlMs: number };
        await expect(createWorkflowLocksFromConfig(config, wrong)).rejects.toThrow("options.executionTtlMs must be a number, got a string");
      });

      test("a manager hands out workflow locks over any of its providers, and goes on closing them", async () => {
        await using manager = createLockManager();
        manager.register("main", await createLockProviderFromUrl(url()));
        const only = workflowLocks(manager);
        expect((await only.runExecution("e", () => "ran")).value).toBe("ran");
        await only.close();
        const named = workflowLocks(manager, "main", { executionTtlMs: 60_000 });
        await (await named.lockWorkflowExecution("e")).unlock();
        expect(() => workflowLocks(manager, "other")).toThrow('no provider is registered as "other"; there are: "main"');
      });
    });
  });
}
