// SPDX-License-Identifier: Apache-2.0
// An Extism plug-in, by the PDK as it is published: tests/guests/README.md says how it is built.
import { Config, Host, LogLevel, Memory, Var } from "@extism/as-pdk";
import { error_set } from "@extism/as-pdk/lib/env";

let calls: i32 = 0;

// A host function of the deployment's: text in, text out, in blocks.
@external("extism:host/user", "translate")
declare function translate(text: u64): u64;
@external("extism:host/env", "length")
declare function blockLength(handle: u64): u64;

export function echo(): i32 {
  Host.output(Host.input());
  return 0;
}

// Counts in a global, and in a variable: both are as they were at deployment in each invocation.
export function count_vowels(): i32 {
  const text = Host.inputString();
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    if ("aeiouAEIOU".includes(text.charAt(i))) count++;
  }
  calls++;
  const total = Var.getString("total");
  Var.set("total", Uint8Array.wrap(String.UTF8.encode(count.toString())));
  const now = Var.getString("total");
  const unit = Config.get("unit");
  Host.log(LogLevel.Info, "counted " + count.toString());
  Host.outputString(
    '{"' + (unit === null ? "count" : unit) + '":' + count.toString() + ',"before":' + (total === null ? "null" : total) +
      ',"total":' + (now === null ? "null" : now) + ',"calls":' + calls.toString() + "}"
  );
  return 0;
}

export function greet(): i32 {
  const name = Memory.allocateString(Host.inputString());
  const handle = translate(name.offset);
  Host.outputMemory(new Memory(handle, blockLength(handle)));
  name.free();
  return 0;
}

export function refuse(): i32 {
  Host.log(LogLevel.Warn, "refusing");
  error_set(Memory.allocateString("I will not: " + Host.inputString()).offset);
  return 7;
}

export function fail(): i32 {
  throw new Error("given up");
}

function onAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  error_set(Memory.allocateString(message === null ? "abort" : message).offset);
}
