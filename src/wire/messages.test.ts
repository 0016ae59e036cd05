import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeAuthMoreData, decodeAuthSwitch, encodeAuthMoreData, encodeAuthSwitch } from './auth-messages.ts'
import { capability, serverStatus } from './capabilities.ts'
import { decodeChangeUser, encodeChangeUser } from './change-user.ts'
import { decodeColumnDefinition, writeColumnDefinition } from './column-definition.ts'
import { decodeEof, isEof, writeEof } from './eof.ts'
import { decodeErr, writeErr } from './err.ts'
import {
  decodeGreeting,
  decodeHandshakeResponse,
  encodeGreeting,
  encodeHandshakeResponse,
  encodeSslRequest,
  type HandshakeResponse,
} from './handshake.ts'
import { decodeOk, writeOk } from './ok.ts'
import { Reader } from './reader.ts'
import type { SessionChange } from './session-track.ts'
import {
  decodeStmtFetch,
  decodeStmtId,
  decodeStmtSendLongData,
  encodeStmtClose,
  encodeStmtFetch,
  encodeStmtSendLongData,
} from './stmt-commands.ts'
import { decodeTextRow, scanTextRow, writeTextRow } from './text-row.ts'
import { Writer } from './writer.ts'

test('length-encoded integers at every boundary, and beyond 2^53 as bigint', () => {
  for (const value of [0n, 250n, 251n, 252n, 0xffffn, 0x10000n, 0xffffffn, 0x1000000n, 1n << 53n, (1n << 64n) - 1n]) {
    const data = new Writer(2).lenenc(value).take()
    assert.equal(new Reader(data).lenencBigint(), value)
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) assert.equal(new Reader(data).lenenc(), Number(value))
    else assert.throws(() => new Reader(data).lenenc(), { code: 'SW-WIRE-001' })
  }
})

test('reading past the end is an error, never undefined', () => {
  const reads: ((r: Reader) => unknown)[] = [
    (r) => r.u8(),
    (r) => r.u16(),
    (r) => r.u24(),
    (r) => r.u32(),
    (r) => r.u64(),
    (r) => r.bytes(3),
    (r) => r.skip(1),
    (r) => r.lenencText(),
  ]
  for (const read of reads) assert.throws(() => read(new Reader(Buffer.alloc(100, 1), 5, 5)), { code: 'SW-WIRE-001' })
  assert.throws(() => new Reader(Buffer.from([5, 1, 1])).lenencBytes(), { code: 'SW-WIRE-001' })
})

test('the greeting', () => {
  const greeting = {
    serverVersion: '8.0.30',
    threadId: 8,
    scramble: Buffer.from('abcdefghijklmnopqrst'),
    capabilities: 0xdfffffff,
    extendedCapabilities: 0,
    collation: 255,
    status: 2,
    plugin: 'caching_sha2_password',
  }
  assert.deepEqual(decodeGreeting(encodeGreeting(greeting)), greeting)
  assert.throws(() => decodeGreeting(Buffer.from('HTTP/1.1 400 Bad Request')), { code: 'SW-WIRE-001' })
})

test("MariaDB's extended capabilities are read only where bit 0 is unset", () => {
  const base = {
    serverVersion: '5.5.5-10.11.19-MariaDB',
    threadId: 1,
    scramble: Buffer.alloc(20, 65),
    collation: 45,
    status: 2,
    plugin: 'mysql_native_password',
  }
  const maria = { ...base, capabilities: (capability.pluginAuth | capability.protocol41) >>> 0, extendedCapabilities: 0x1d }
  assert.equal(decodeGreeting(encodeGreeting(maria)).extendedCapabilities, 0x1d)
  const mysql = { ...maria, capabilities: maria.capabilities | capability.longPassword }
  assert.equal(decodeGreeting(encodeGreeting(mysql)).extendedCapabilities, 0)
})

const someText = fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\0', ''))

test('handshake answers under every combination of the capabilities that shape them', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 31 }),
      someText,
      someText,
      fc.uint8Array({ minLength: 1, maxLength: 250 }),
      fc.dictionary(someText, someText),
      (bits, user, database, auth, attributes) => {
        const flags = [
          capability.pluginAuth,
          capability.pluginAuthLenenc,
          capability.secureConnection,
          capability.connectWithDb,
          capability.connectAttrs,
        ]
        let capabilities: number = capability.protocol41 | capability.longPassword
        flags.forEach((flag, i) => {
          if ((bits & (1 << i)) !== 0) capabilities |= flag
        })
        const plain = (capabilities & (capability.pluginAuthLenenc | capability.secureConnection)) === 0
        const response: HandshakeResponse = {
          capabilities: capabilities >>> 0,
          extendedCapabilities: 0,
          packetBytesMax: 1 << 24,
          collation: 45,
          user,
          authResponse: Buffer.from(plain ? auth.map((byte) => byte || 1) : auth),
          database: capabilities & capability.connectWithDb ? database : '',
          plugin: capabilities & capability.pluginAuth ? 'mysql_native_password' : '',
          attributes: capabilities & capability.connectAttrs ? { ...attributes } : {},
        }
        const decoded = decodeHandshakeResponse(encodeHandshakeResponse(response))
        assert.deepEqual(decoded, { kind: 'response', ...response })
      },
    ),
  )
})

test('an SSL request is told from an answer', () => {
  const response: HandshakeResponse = {
    capabilities: capability.protocol41 | capability.ssl,
    extendedCapabilities: 0,
    packetBytesMax: 1,
    collation: 45,
    user: 'u',
    authResponse: Buffer.alloc(0),
    database: '',
    plugin: '',
    attributes: {},
  }
  const bytes = encodeSslRequest(response)
  assert.equal(bytes.length, 32)
  assert.equal(decodeHandshakeResponse(bytes).kind, 'ssl')
  assert.equal(decodeHandshakeResponse(encodeHandshakeResponse(response)).kind, 'response')
})

test('an attribute named __proto__ is an attribute', () => {
  const flags = capability.protocol41 | capability.longPassword | capability.connectAttrs
  const attributes = Object.fromEntries([['__proto__', 'x']])
  const response: HandshakeResponse = {
    capabilities: flags,
    extendedCapabilities: 0,
    packetBytesMax: 1,
    collation: 45,
    user: 'u',
    authResponse: Buffer.alloc(0),
    database: '',
    plugin: '',
    attributes,
  }
  const decoded = decodeHandshakeResponse(encodeHandshakeResponse(response))
  assert.ok(decoded.kind === 'response' && Object.hasOwn(decoded.attributes, '__proto__'))
})

test('change user', () => {
  const flags = capability.pluginAuth | capability.connectAttrs | capability.secureConnection
  const message = {
    user: 'a',
    authResponse: Buffer.alloc(20, 3),
    database: 'd',
    collation: 255,
    plugin: 'caching_sha2_password',
    attributes: { k: 'v' },
  }
  assert.deepEqual(decodeChangeUser(encodeChangeUser(message, flags), flags), message)
})

test('auth switch and more data; a scramble keeps a zero byte inside', () => {
  const message = { plugin: 'mysql_native_password', data: Buffer.from('aaaaaaaaaa\0bbbbbbbbb') }
  assert.deepEqual(decodeAuthSwitch(encodeAuthSwitch(message)), message)
  assert.equal(decodeAuthSwitch(Buffer.from([0xfe])).plugin, 'mysql_old_password')
  assert.equal(decodeAuthMoreData(encodeAuthMoreData(Buffer.from([3])))[0], 3)
})

const changes: SessionChange[] = [
  { kind: 'variable', name: 'autocommit', value: 'OFF' },
  { kind: 'schema', name: 'shop' },
  { kind: 'stateChanged', value: '1' },
  { kind: 'gtids', text: '3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5' },
  { kind: 'characteristics', text: 'START TRANSACTION READ ONLY;' },
  { kind: 'transaction', text: 'T_______' },
  { kind: 'other', type: 99, data: Buffer.from('xyz') },
]

test('OK with and without session changes, in both roles', () => {
  for (const header of [0x00, 0xfe] as const) {
    const ok = {
      affectedRows: 1n << 40n,
      insertId: (1n << 64n) - 1n,
      warnings: 3,
      info: 'Rows matched: 1',
      status: serverStatus.autocommit | serverStatus.sessionStateChanged,
      sessionChanges: changes,
    }
    const bytes = writeOk(new Writer(), ok, capability.sessionTrack, header).take()
    assert.deepEqual(decodeOk(bytes, 0, bytes.length, capability.sessionTrack), ok)
    const without = writeOk(new Writer(), ok, 0, header).take()
    assert.deepEqual(decodeOk(without, 0, without.length, 0), { ...ok, status: serverStatus.autocommit, sessionChanges: [] })
  }
})

test('ERR with SQLSTATE, and without (before the handshake)', () => {
  const err = { errno: 1290, sqlState: 'HY000', message: 'read-only é' }
  const bytes = writeErr(new Writer(), err).take()
  assert.deepEqual(decodeErr(bytes, 0, bytes.length), err)
  const early = Buffer.concat([Buffer.from([0xff, 0x10, 0x04]), Buffer.from('Too many connections')])
  assert.deepEqual(decodeErr(early, 0, early.length), { errno: 1040, sqlState: 'HY000', message: 'Too many connections' })
})

test('EOF is told from a row that begins with 0xfe by its length', () => {
  const eof = { warnings: 2, status: 34 }
  const bytes = writeEof(new Writer(), eof).take()
  assert.ok(isEof(bytes, 0, bytes.length))
  assert.deepEqual(decodeEof(bytes, 0, bytes.length), eof)
  assert.ok(!isEof(Buffer.alloc(9, 0xfe), 0, 9))
})

test('column definitions', () => {
  const column = {
    schema: 's',
    table: 't',
    orgTable: 'ot',
    name: 'né',
    orgName: 'on',
    charset: 45,
    length: 0xffffffff,
    type: 0xfd,
    flags: 0x1001,
    decimals: 31,
  }
  const bytes = writeColumnDefinition(new Writer(), column).take()
  assert.deepEqual(decodeColumnDefinition(bytes, 0, bytes.length), column)
})

test("column definitions with MariaDB's extended metadata, also where there is none of it", () => {
  const plain = {
    schema: 's',
    table: 't',
    orgTable: 't',
    name: 'js',
    orgName: 'js',
    charset: 45,
    length: 0xffffffff,
    type: 0xfc,
    flags: 16,
    decimals: 0,
  }
  for (const column of [plain, { ...plain, extended: Buffer.from('\u0001\u0004json') }]) {
    const bytes = writeColumnDefinition(new Writer(), column, true).take()
    assert.deepEqual(decodeColumnDefinition(bytes, 0, bytes.length, true), column)
    assert.equal(bytes.length, writeColumnDefinition(new Writer(), plain).take().length + ('extended' in column ? 7 : 1))
  }
})

test('text rows: NULL, empty, and cells at the boundaries of their length', () => {
  const row = [null, Buffer.alloc(0), ...[250, 251, 0xffff, 0x10000].map((bytes) => Buffer.alloc(bytes, 1)), null]
  const bytes = writeTextRow(new Writer(), row).take()
  assert.deepEqual(decodeTextRow(bytes, 0, bytes.length, row.length), row)
  assert.throws(() => decodeTextRow(bytes, 0, bytes.length, row.length + 1), { code: 'SW-WIRE-001' })
  assert.throws(() => decodeTextRow(bytes, 0, bytes.length, row.length - 1), { code: 'SW-WIRE-001' })
  assert.throws(() => decodeTextRow(bytes, 0, bytes.length - 2, row.length), { code: 'SW-WIRE-001' })
})

test('scanning a damaged row throws; it never reads past the row or hangs', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 6 }), (bytes, width) => {
      const spans = new Int32Array(width * 2)
      const data = Buffer.concat([bytes, Buffer.alloc(16, 0xfe)])
      try {
        scanTextRow(data, 0, bytes.length, width, spans, 0)
        for (const at of spans) assert.ok(at >= -1 && at <= bytes.length)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'SW-WIRE-001')
      }
    }),
  )
})

test('the small statement commands', () => {
  assert.equal(decodeStmtId(encodeStmtClose(0xfffffffe)), 0xfffffffe)
  assert.deepEqual(decodeStmtFetch(encodeStmtFetch(7, 100)), { id: 7, rows: 100 })
  assert.deepEqual(decodeStmtSendLongData(encodeStmtSendLongData(7, 2, Buffer.from('x'))), { id: 7, param: 2, data: Buffer.from('x') })
})
