import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { committedBatches, type RawBatch } from './kafka/committed.ts'
import { murmur2 } from './partition-of.ts'
import { withoutPassword } from '../base/secrets.ts'
import { parseTopicUrl } from './url.ts'

test('keys hash as in Kafka’s Java client (vectors of its UtilsTest)', () => {
  const vectors: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [text, hash] of vectors) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

/** One record a batch, at `offset`; `marker`: 0 abort, 1 commit. */
function batch(offset: number, producerId: number, marker?: 0 | 1): RawBatch {
  const key = marker === undefined ? Buffer.from('k') : Buffer.from([0, 0, 0, marker])
  const record = { timestampDelta: 0n, offsetDelta: 0, key, value: null, headers: [] }
  const common = { partitionLeaderEpoch: 0, lastOffsetDelta: 0, firstTimestamp: 0n, maxTimestamp: 0n }
  return {
    ...common,
    firstOffset: BigInt(offset),
    attributes: 0x10 | (marker === undefined ? 0 : 0x20),
    producerId: BigInt(producerId),
    records: [record],
  }
}

test('two aborted transactions of one producer, a committed one between, one that ends in a later answer: only what was committed is seen', () => {
  const answer = [
    batch(0, 7),
    batch(1, 7, 1),
    batch(2, 7),
    batch(3, 7, 0),
    batch(4, 7),
    batch(5, 8),
    batch(6, 7, 1),
    batch(7, 7),
    batch(8, 8, 1),
    batch(9, 7, 0),
    batch(10, 9),
  ]
  const aborted = [
    { producerId: 7n, firstOffset: 7n },
    { producerId: 7n, firstOffset: 2n },
    { producerId: 9n, firstOffset: 10n },
  ]
  assert.deepEqual(
    [...committedBatches(answer, aborted)].map(({ firstOffset }) => firstOffset),
    [0n, 4n, 5n],
  )
})

test('addresses: what they name, and what is refused', () => {
  assert.deepEqual(parseTopicUrl('log:///var/lib/topics/a%20b'), { kind: 'log', dir: '/var/lib/topics/a b' })
  const url = 'kafka://one:9092,[::1]:9093/queries?tls=true&sasl=scram-sha-512&user=u&password=p%26q'
  assert.deepEqual(parseTopicUrl(url), {
    kind: 'kafka',
    brokers: ['one:9092', '[::1]:9093'],
    topic: 'queries',
    tls: { ca: null, cert: null, key: null, serverName: null },
    sasl: { mechanism: 'SCRAM-SHA-512', user: 'u', password: { text: 'p&q' } },
  })
  assert.ok(!withoutPassword(url).includes('p%26q'))
  for (const bad of [
    'log://relative/x',
    'log:///x/',
    'kafka://host/topic',
    'kafka://h:1/',
    'kafka://h:1/t?sasl=plain',
    'kafka://h:1/t?user=x',
    'kafka://h:1/t?tls-ca=f',
    'kafka://h:1/t?sasl=magic&user=u&password=p',
    'kafka://h:1/t?nonsense=1',
    'http://x',
  ]) {
    assert.throws(
      () => parseTopicUrl(bad),
      (error) => isSwError(error, 'SW-TOPIC-007'),
      bad,
    )
  }
})
