import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TopicRecord } from '../topic/topic.ts'
import { defineTopic } from './definition.ts'
import { otherClockMs, underOtherClock } from './other-clock.ts'

const record = { timestampMs: 5 } as TopicRecord

test('every function of a definition sees another day, hour and chance, and nobody else does', () => {
  const looks = (): number[] => [Date.now(), new Date().getTime(), new Date(Date()).getTime(), performance.now()]
  const seen: { [where: string]: number[] } = {}
  const look = (where: string): void => void (seen[where] = looks())
  const older = defineTopic({
    topic: 't',
    version: 1,
    decode: () => (look('previous'), null),
    tables: { t: { kind: 'dimension', shardKey: ['k'], key: ['k'], columns: { k: { merge: 'key' } }, map: () => null } },
  })
  const definition = defineTopic({
    topic: 't',
    version: 2,
    decode: () => (look('decode'), 'event'),
    eventTime: () => (look('eventTime'), 7),
    tables: {
      t: {
        kind: 'row',
        shardKey: ['k'],
        key: ['k'],
        columns: { k: { merge: 'key' }, at: { merge: 'value' } },
        bucket: { column: 'at', everyMs: 1000 },
        eventId: () => (look('eventId'), 'id'),
        map: () => {
          look('map')
          throw new Error('as a map may')
        },
      },
    },
    previous: [older],
  })
  const other = underOtherClock(definition)
  assert.equal(other.digest, definition.digest)
  const before = looks()
  assert.equal(other.decode(record), 'event')
  assert.equal(other.eventTime('event', record), 7)
  assert.equal(other.tables[0]!.eventId!('event'), 'id')
  assert.throws(() => other.tables[0]!.map('event', record), /as a map may/)
  other.previous[0]!.decode(record)
  const after = looks()
  assert.deepEqual(Object.keys(seen), ['decode', 'eventTime', 'eventId', 'map', 'previous'])
  for (const [where, values] of Object.entries(seen))
    for (const [i, value] of values.entries()) {
      assert.ok(value >= before[i]! + otherClockMs - 1000 && value <= after[i]! + otherClockMs + 1000, `${where} ${i}: ${value}`)
    }
  assert.ok(after[0]! - before[0]! < otherClockMs, 'put back')
})

test('what is given stays: dates of the record, types, parsing', () => {
  const made = underOtherClock(
    defineTopic({
      topic: 't',
      version: 1,
      decode: () => [
        new Date(86_400_000).toISOString(),
        Date.parse('2026-01-02T00:00:00Z'),
        Date.UTC(2026, 1),
        new Date() instanceof Date,
        Math.random() >= 0 && Math.random() < 1,
      ],
      tables: { t: { kind: 'dimension', shardKey: ['k'], key: ['k'], columns: { k: { merge: 'key' } }, map: () => null } },
    }),
  ).decode(record)
  assert.deepEqual(made, ['1970-01-02T00:00:00.000Z', 1_767_312_000_000, Date.UTC(2026, 1), true, true])
})
