/** Tells its parent when each message of a Redis channel arrived: argv is the address. What a hand-over is compared with. */
import { Redis } from "ioredis";

const subscriber = new Redis(process.argv[2] as string);
subscriber.on("message", () => process.send?.(Number(process.hrtime.bigint()) / 1e6));
process.on("disconnect", () => subscriber.disconnect());
await subscriber.subscribe("bench");
process.send?.("ready");
