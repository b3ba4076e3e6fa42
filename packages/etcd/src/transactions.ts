/**
 * Sends the decisions of a round as one transaction of nested ones, and owns what must hold for it as a whole: live leases, one claim's
 * refusal kept from the others, and the fence against what was sent before and got no answer.
 *
 * The fence: every transaction requires that the driver's fence key is as it last was; while all is well there is no such key. After a try
 * without an answer the next transaction moves it, and by that whatever was sent before can no longer be applied, however late a frozen
 * member delivers it. So another member can be tried at once, and nothing that was given up comes back.
 */
import type { DriverError } from "@dlock/core";
import type { Attempt } from "./attempt.js";
import { Failure, malformed } from "./failures.js";
import type { Lease, Leases } from "./leases.js";
import type { Members } from "./members.js";
import type { Decision } from "./program.js";
import { modifiedAt, put, type RangeResponse, type RequestOp, type ResponseOp, type TxnResponse } from "./wire.js";

export interface Reply {
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
  /** The revision at which this was decided. */
  readonly revision: string;
  readonly lease: Lease | undefined;
}

/** How much longer than any lease the fence stands. */
const fenceMarginMs = 5_000;

export class Transactions {
  readonly #members: Members;
  readonly #leases: Leases;
  readonly #fenceKey: Buffer;
  /** Where the fence stands; "0": nowhere. */
  #fence = "0";
  /** How many tries got no answer, and how many of those the fence has shut out. */
  #lost = 0;
  #fenced = 0;
  /** The longest TTL of a lease that a claim was sent with. */
  #longestMs = 0;

  constructor(members: Members, leases: Leases, fenceKey: Buffer) {
    this.#members = members;
    this.#leases = leases;
    this.#fenceKey = fenceKey;
  }

  async run(decisions: readonly Decision[], attempt: Attempt): Promise<(Reply | DriverError)[]> {
    try {
      return await this.#send(decisions, attempt);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.reaction !== "split" || decisions.length === 1) {
        const answer = error.toDriverError(attempt.uncertain);
        return decisions.map(() => answer);
      }
      const half = Math.ceil(decisions.length / 2);
      const parts = [decisions.slice(0, half), decisions.slice(half)];
      return (await Promise.all(parts.map((part) => this.run(part, attempt)))).flat();
    }
  }

  async #send(decisions: readonly Decision[], attempt: Attempt): Promise<Reply[]> {
    for (let deadLeases = 0; ; ) {
      const leases = await this.#leasesFor(decisions, attempt);
      const nested = decisions.map((decision): RequestOp => ({ request_txn: decision.build(leases.get(decision.ttlMs)) }));

      let shutsOut = 0;
      let response: TxnResponse;
      try {
        response = await this.#members.call<TxnResponse>(
          "KV",
          "txn",
          async () => {
            shutsOut = this.#lost;
            return {
              compare: [modifiedAt(this.#fenceKey, this.#fence)],
              success: shutsOut > this.#fenced ? [...nested, await this.#moveFence(attempt)] : nested,
            };
          },
          attempt,
          () => {
            this.#lost += 1;
            attempt.uncertain = true;
          },
        );
      } catch (error) {
        if (!(error instanceof Failure) || error.reaction !== "lease") throw error;
        // One dead lease fails all claims, and does not say which it is. Somebody revoked it, or the server lost it: take new ones.
        this.#leases.forget();
        deadLeases += 1;
        if (deadLeases > 2) throw error;
        continue;
      }
      if (!response.succeeded) {
        // The fence was moved by a call that overtook this one, or its lease has ended. Nothing was applied.
        const { kvs } = await this.#members.call<RangeResponse>("KV", "range", () => ({ key: this.#fenceKey }), attempt);
        this.#fence = kvs[0]?.mod_revision ?? "0";
        continue;
      }
      const { revision } = response.header;
      if (!(BigInt(revision) > 0n)) throw malformed("it has no revision");
      if (shutsOut > this.#fenced) {
        this.#fenced = shutsOut;
        this.#fence = revision;
      }
      return decisions.map(({ ttlMs }, index) => {
        const { succeeded, responses } = nestedOf(response, index);
        return { succeeded, responses, revision, lease: leases.get(ttlMs) };
      });
    }
  }

  /** A lease for each TTL that is asked for. */
  async #leasesFor(decisions: readonly Decision[], attempt: Attempt): Promise<Map<number | undefined, Lease>> {
    const asked = [...new Set(decisions.map(({ ttlMs }) => ttlMs))].filter((ttlMs) => ttlMs !== undefined);
    const leases = await Promise.all(asked.map((ttlMs) => this.#leases.take(ttlMs, attempt)));
    for (const { endsAt, grantedAt } of leases) this.#longestMs = Math.max(this.#longestMs, endsAt - grantedAt);
    return new Map(leases.map((lease, index) => [asked[index], lease]));
  }

  /** The fence needs to stand only as long as a lease that an abandoned claim could use. */
  async #moveFence(attempt: Attempt): Promise<RequestOp> {
    const lease = await this.#leases.take(this.#longestMs + fenceMarginMs, attempt);
    return put(this.#fenceKey, Buffer.alloc(0), lease.id);
  }
}

function nestedOf({ responses }: TxnResponse, index: number): TxnResponse {
  const nested = responses[index]?.response_txn;
  if (nested === undefined || nested === null) throw malformed("a claim of the batch has none");
  return nested;
}
