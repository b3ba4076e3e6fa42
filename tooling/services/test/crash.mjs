// Starts a server and dies without a chance to clean up.
import { startRedis } from "../dist/index.js";

const server = await startRedis();
console.log(JSON.stringify({ pid: server.pid, folder: server.folder }));
process.kill(process.pid, "SIGKILL");
