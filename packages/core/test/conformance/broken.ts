/** All deliberately broken drivers: each has one small fault, and names the rule whose cases must catch it. */
import { attempt } from "./broken/attempt.ts";
import { batch } from "./broken/batch.ts";
import { bounded } from "./broken/bounded.ts";
import { bytes } from "./broken/bytes.ts";
import { exclusion } from "./broken/exclusion.ts";
import { extend } from "./broken/extend.ts";
import { idempotence } from "./broken/idempotence.ts";
import { queue } from "./broken/queue.ts";
import { release } from "./broken/release.ts";
import { time } from "./broken/time.ts";
import { tokens } from "./broken/tokens.ts";
import { views } from "./broken/views.ts";
import { watch } from "./broken/watch.ts";
import type { Broken } from "./faults.ts";

export const brokenDrivers: readonly Broken[] = [
  ...attempt,
  ...exclusion,
  ...idempotence,
  ...time,
  ...tokens,
  ...bounded,
  ...extend,
  ...release,
  ...batch,
  ...bytes,
  ...queue,
  ...views,
  ...watch,
];
