/** The session of a logged statement, from the bytes that servers write. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseQuerySession } from './query-session.ts'

const bytes = (...parts: (number | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part, 'latin1'))))
const u16 = (value: number): string => Buffer.from([value & 255, value >> 8]).toString('latin1')

test('1.13: the variables that a session had, those after them that say nothing here, and what is not known', () => {
  const all = bytes(
    0,
    '\x00\x00\x00\x04', // prettier-ignore
    1,
    '\x20\x00\x20\x50\x01\x00\x00\x00',
    6,
    3,
    'std',
    3,
    u16(2),
    u16(1),
    4,
    u16(8),
    u16(45),
    u16(2304),
    5,
    6,
    '+05:30',
    7,
    u16(3),
    8,
    u16(33),
    9,
    '\x00\x00\x00\x00\x00\x00\x00\x00',
    10,
    '\x00\x00\x00\x00',
    11,
    1,
    'u',
    4,
    'host',
    12,
    2,
    'app\0',
    'other\0',
    13,
    '\x90\xd0\x03',
    16,
    1,
    17,
    '\x00\x00\x00\x00\x00\x00\x00\x00',
    18,
    u16(255),
    19,
    0,
    20,
    1,
  )
  const session = parseQuerySession(all)
  assert.deepEqual(session, {
    complete: true,
    flags: 1 << 26,
    sqlMode: 0x1_5020_0020n,
    charset: { client: 8, connection: 45, server: 2304 },
    timeZone: '+05:30',
    lcTimeNames: 3,
    databaseCollation: 33,
    explicitDefaultsForTimestamp: true,
    utf8mb4Collation: 255,
    micros: 250_000,
    alter: 'whole',
  })
  assert.equal(parseQuerySession(Buffer.concat([all, bytes(99, 1, 2)])).complete, false)
  assert.equal(parseQuerySession(all.subarray(0, -1)).complete, false)
  assert.deepEqual(parseQuerySession(bytes(12, 254, 5, 3, 'UTC')).timeZone, 'UTC', 'too many schemas to be named')
})

test('1.13: of an ALTER that MariaDB logs twice it is told whether it begins, is committed or rolled back', () => {
  const sequence = '\x01\x00\x00\x00\x00\x00\x00\x00'
  const after = [128, '\x01\x00\x00', 5, 3, 'UTC'] as const
  assert.deepEqual(
    [bytes(130, 2, ...after), bytes(129, sequence, 130, 4, sequence, ...after), bytes(130, 8, sequence, ...after)].map((status) => {
      const { alter, timeZone, complete } = parseQuerySession(status)
      return [alter, timeZone, complete]
    }),
    [
      ['begins', 'UTC', true],
      ['committed', 'UTC', true],
      ['rolledBack', 'UTC', true],
    ],
  )
})
