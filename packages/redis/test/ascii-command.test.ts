// What goes over the wire: the bytes that ioredis itself would write.
import { Command } from "ioredis";
import { expect, it } from "vitest";
import { AsciiCommand } from "../src/ascii-command.ts";

const socket = {};

it.each([
  ["no argument", []],
  ["empty text", ["", "a", ""]],
  ["lengths of one to five digits", [1, 9, 10, 99, 100, 511, 512, 999, 1_000, 12_345].map((length) => "x".repeat(length))],
  ["control characters", ["\u0000", "\r\n", "\u007f"]],
  ["more than ASCII", ["a", "é", "日本", "👍", "\u0080", "ÿ"]],
  ["as much as a batch has", Array.from({ length: 1_500 }, (_, index) => `lock:{${index % 32}}key ${index}`)],
])("a command with %s is written as ioredis writes it", (_, args) => {
  const command = new AsciiCommand("evalsha", args);
  expect(Buffer.from(command.toWritable(socket))).toEqual(Buffer.from(new Command("evalsha", args).toWritable(socket)));
});
