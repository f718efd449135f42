// Compiles modules and calls their exports, as it is told on its standard input, and answers on its
// standard output. Each message is its length in four bytes and as many bytes. Numbers are
// little-endian. See node.rs for what stands in them.
'use strict';
const fs = require('fs');
const v8 = require('v8');

// Later releases have these without being asked.
const release = Number(process.versions.node.split('.')[0]);
if (release < 22) {
    v8.setFlagsFromString('--experimental-wasm-return-call');
    v8.setFlagsFromString('--experimental-wasm-extended-const');
}
if (release < 24) v8.setFlagsFromString('--experimental-wasm-memory64');

const COMPILED_NOT = 1;
const INSTANTIATED_NOT = 2;
const RAN = 0;

function read(bytes) {
    const buffer = Buffer.allocUnsafe(bytes);
    let at = 0;
    while (at < bytes) {
        const got = fs.readSync(0, buffer, at, bytes - at, null);
        if (got === 0) process.exit(0);
        at += got;
    }
    return buffer;
}

let answer = Buffer.alloc(1 << 16);
let end = 4;

function room(bytes) {
    if (end + bytes <= answer.length) return;
    const larger = Buffer.alloc((end + bytes) * 2);
    answer.copy(larger, 0, 0, end);
    answer = larger;
}

function byte(value) {
    room(1);
    end = answer.writeUInt8(value, end);
}

function text(value) {
    const bytes = Buffer.from(String(value));
    room(4 + bytes.length);
    end = answer.writeUInt32LE(bytes.length, end);
    end += bytes.copy(answer, end);
}

function number(value) {
    room(8);
    end = answer.writeBigUInt64LE(BigInt.asUintN(64, value), end);
}

function send() {
    answer.writeUInt32LE(end - 4, 0);
    for (let at = 0; at < end; ) at += fs.writeSync(1, answer, at, end - at);
    end = 4;
}

function serve(message) {
    let at = 0;
    const u32 = () => {
        at += 4;
        return message.readUInt32LE(at - 4);
    };
    const bytes = () => {
        const length = u32();
        at += length;
        return message.subarray(at - length, at);
    };
    const binary = bytes();
    const exports = [];
    for (let count = u32(); count > 0; count--) exports.push(bytes().toString());
    const runs = [];
    for (let count = u32(); count > 0; count--) {
        const calls = [];
        for (let count = u32(); count > 0; count--) {
            const name = exports[u32()];
            const args = [];
            for (let count = u32(); count > 0; count--) {
                args.push(message.readBigUInt64LE(at));
                at += 8;
            }
            calls.push({ name, args });
        }
        runs.push(calls);
    }

    let module;
    try {
        module = new WebAssembly.Module(binary);
    } catch (error) {
        byte(COMPILED_NOT);
        text(error);
        return;
    }
    const begin = end;
    byte(RAN);
    for (const calls of runs) {
        let instance;
        try {
            instance = new WebAssembly.Instance(module);
        } catch (error) {
            end = begin;
            byte(INSTANTIATED_NOT);
            text(error);
            return;
        }
        for (const { name, args } of calls) {
            try {
                const returned = instance.exports[name](...args);
                const values = returned === undefined ? [] : Array.isArray(returned) ? returned : [returned];
                byte(1);
                byte(values.length);
                values.forEach(number);
            } catch (error) {
                byte(0);
                text(error);
            }
        }
    }
}

for (;;) {
    serve(read(read(4).readUInt32LE(0)));
    send();
}
