/** Bytes for all that reads packets: frames cut anywhere, true messages with bytes changed, and noise. */
import assert from 'node:assert/strict'
import { isSwError } from '../../src/base/errors.ts'
import { AnswerScanner } from '../../src/wire/answer.ts'
import { decodeAuthMoreData, decodeAuthSwitch } from '../../src/wire/auth-messages.ts'
import { decodeBinaryRow, scanBinaryRow } from '../../src/wire/binary-row.ts'
import type { ValueType } from '../../src/wire/binary-values.ts'
import { capability } from '../../src/wire/capabilities.ts'
import { decodeChangeUser } from '../../src/wire/change-user.ts'
import { decodeColumnDefinition } from '../../src/wire/column-definition.ts'
import { columnType } from '../../src/wire/column-types.ts'
import { decodeEof } from '../../src/wire/eof.ts'
import { decodeErr } from '../../src/wire/err.ts'
import { frame, FrameParser } from '../../src/wire/frames.ts'
import { decodeGreeting, decodeHandshakeResponse, encodeGreeting, encodeHandshakeResponse } from '../../src/wire/handshake.ts'
import { decodeLocalInfile } from '../../src/wire/local-infile.ts'
import { decodeOk } from '../../src/wire/ok.ts'
import { decodeSessionChanges } from '../../src/wire/session-track.ts'
import { decodeStmtFetch, decodeStmtId, decodeStmtSendLongData } from '../../src/wire/stmt-commands.ts'
import { decodeExecute, encodeExecute } from '../../src/wire/stmt-execute.ts'
import { decodeTextRow } from '../../src/wire/text-row.ts'
import type { Random } from '../models/random.ts'
import type { Finding } from './fuzz.ts'

const packetsARound = 300
const types = Object.values(columnType)
const all = 0xffffffff

type Reader = readonly [name: string, read: (bytes: Buffer, random: Random) => unknown]
const readers: readonly Reader[] = [
  ['handshake response', (bytes) => decodeHandshakeResponse(bytes)],
  ['greeting', (bytes) => decodeGreeting(bytes)],
  ['change user', (bytes, random) => decodeChangeUser(bytes, random.chance(0.5) ? all : capability.protocol41)],
  [
    'execute',
    (bytes, random) =>
      decodeExecute(bytes, {
        capabilities: random.chance(0.2) ? all : 0,
        paramCount: random.below(9),
        types: [],
        longData: new Map(),
      } as never),
  ],
  ['OK', (bytes, random) => decodeOk(bytes, 0, bytes.length, random.chance(0.5) ? all : 0)],
  ['ERR', (bytes) => decodeErr(bytes, 0, bytes.length)],
  ['EOF', (bytes) => decodeEof(bytes, 0, bytes.length)],
  ['auth switch', (bytes) => decodeAuthSwitch(bytes)],
  ['auth more data', (bytes) => decodeAuthMoreData(bytes)],
  ['column definition', (bytes) => decodeColumnDefinition(bytes, 0, bytes.length)],
  ['text row', (bytes, random) => decodeTextRow(bytes, 0, bytes.length, random.below(9))],
  ['binary row', (bytes, random) => decodeBinaryRow(bytes, 0, bytes.length, columns(random))],
  [
    'binary row as it was sent',
    (bytes, random) => {
      const some = columns(random)
      scanBinaryRow(bytes, 0, bytes.length, some, new Int32Array(2 * some.length), 0)
    },
  ],
  ['session changes', (bytes) => decodeSessionChanges(bytes)],
  ['statement id', (bytes) => decodeStmtId(bytes)],
  ['fetch', (bytes) => decodeStmtFetch(bytes)],
  ['long data', (bytes) => decodeStmtSendLongData(bytes)],
  ['local infile', (bytes) => decodeLocalInfile(bytes, 0, bytes.length)],
  ['answer', (bytes, random) => scanned(bytes, random)],
]

function columns(random: Random): ValueType[] {
  return Array.from({ length: random.below(9) }, () => ({ type: random.pick(types), flags: 0, decimals: 0, length: 0 }))
}

const whole: readonly Buffer[] = [
  encodeHandshakeResponse({
    capabilities: all & ~capability.ssl,
    extendedCapabilities: 0,
    packetBytesMax: 1 << 24,
    collation: 45,
    user: 'app',
    authResponse: Buffer.alloc(20, 7),
    database: 'app',
    plugin: 'mysql_native_password',
    attributes: { a: 'b', longer: 'x'.repeat(300) },
  }),
  encodeGreeting({
    serverVersion: '8.0.36',
    threadId: 7,
    scramble: Buffer.alloc(20, 9),
    capabilities: all,
    extendedCapabilities: 0,
    collation: 45,
    status: 2,
    plugin: 'caching_sha2_password',
  }),
  encodeExecute(1, [1n, 'text', null, 2.5, Buffer.alloc(300)], 0),
  Buffer.from([0, 1, 0xfc, 5, 1, 2, 0, 0, 0, 3, 97, 98, 99]),
  Buffer.from('\xff\x15\x04#28000no', 'latin1'),
  Buffer.from([3, 0x64, 0x65, 0x66, 0, 0, 0, 1, 0x61, 1, 0x61, 12, 45, 0, 10, 0, 0, 0, 253, 0, 0, 0, 0, 0]),
]

export function fuzzPackets(random: Random, found: (finding: Finding) => void): number {
  for (let i = 0; i < packetsARound; i++) {
    const bytes = random.chance(0.3) ? noise(random, random.below(80)) : changed(random)
    for (const [target, read] of readers) attempt(target, bytes, found, () => read(bytes, random))
    attempt('frames', bytes, found, () => framesCutAnywhere(random))
  }
  return packetsARound
}

function attempt(target: string, bytes: Buffer, found: (finding: Finding) => void, run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!isSwError(error))
      found({ target, what: error instanceof Error ? (error.stack ?? error.message) : String(error), input: bytes.toString('hex') })
  }
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(
    Array.from({ length }, () => (random.chance(0.3) ? random.pick([0, 0xfb, 0xfc, 0xfd, 0xfe, 0xff]) : random.below(256))),
  )
}

function changed(random: Random): Buffer {
  const bytes = Buffer.from(random.pick(whole))
  for (let times = random.below(4); times > 0; times--)
    bytes[random.below(bytes.length)] = random.chance(0.5) ? random.pick([0, 0xfc, 0xfd, 0xfe, 0xff]) : random.below(256)
  return random.chance(0.5) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes
}

/** The same packets, however the bytes come. */
function framesCutAnywhere(random: Random): void {
  const packets = Array.from({ length: 1 + random.below(5) }, () => noise(random, random.below(40)))
  const stream = Buffer.concat(packets.map((one, i) => frame(one, i)))
  const got: Buffer[] = []
  const parser = new FrameParser((data, start, end) => void got.push(Buffer.from(data.subarray(start, end))))
  for (let at = 0; at < stream.length;) {
    const to = Math.min(stream.length, at + 1 + random.below(12))
    parser.feed(stream.subarray(at, to))
    at = to
  }
  assert.deepEqual(got, packets)
  assert.equal(parser.heldBytes, 0)
}

function scanned(bytes: Buffer, random: Random): void {
  const scanner = new AnswerScanner(random.chance(0.5), random.below(0x20))
  for (let at = 0; at < bytes.length && !scanner.done;) {
    const to = Math.min(bytes.length, at + random.below(12))
    scanner.scanFrame(bytes, at, to)
    at = to + (to === at ? 1 : 0)
  }
}
