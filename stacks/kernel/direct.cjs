// Runs jsii's kernel in the process that jsii starts. jsii's own script starts it in a second one, for which it copies
// every question and every answer; and there are thousands.
"use strict";
const fs = require("fs");
const { enableCompileCache, flushCompileCache } = require("module");
const os = require("os");
const path = require("path");

const [STDIN, STDOUT, STDERR, KERNEL] = [0, 1, 2, 3]; // the kernel reads from and writes to one descriptor
const [, , program, compiled] = process.argv;
const { fstatSync, mkdtempSync, openSync, readSync, writeSync } = fs;
try {
  fstatSync(KERNEL);
} catch {
  openSync(os.devNull); // so that no file gets its number
}
fs.readSync = (descriptor, ...rest) => readSync(descriptor === KERNEL ? STDIN : descriptor, ...rest);
fs.writeSync = (descriptor, ...rest) => writeSync(descriptor === KERNEL ? STDOUT : descriptor, ...rest);

for (const name of ["stdout", "stderr"]) {
  // What the CDK prints goes where it did, in the envelope that jsii opens.
  process[name].write = (chunk, encoding, done = encoding) => {
    const bytes = Buffer.from(chunk, typeof encoding === "string" ? encoding : undefined);
    writeSync(STDERR, JSON.stringify({ [name]: bytes.toString("base64") }) + "\n");
    if (typeof done === "function") process.nextTick(done);
    return true;
  };
}

// Node keeps what it has compiled by the names of files, and the kernel links the CDK into a folder of a new name each
// time: node found none of it, and kept all of it once more. Relative to that folder the names are always the same.
fs.mkdtempSync = (...rest) => {
  const folder = mkdtempSync(...rest);
  if (compiled) {
    const directory = path.join(folder, "compiled");
    fs.symlinkSync(path.resolve(compiled), directory);
    try {
      enableCompileCache({ directory, portable: true });
      process.once("exit", () => flushCompileCache()); // before the kernel removes the folder
    } catch {
      // This node has no such cache.
    }
  }
  return folder;
};
require(path.resolve(program));
