import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShardRef, StreamRecord } from '../topology/records.ts'
import { streamsBack } from './plan.ts'

const ref = (shard: string): ShardRef => ({ shard, uid: shard, serverId: 's', schema: 'x' })
const side = (...names: string[]) => ({ shards: names.map(ref) }) as unknown as Parameters<typeof streamsBack>[2]

function forward(source: string, targets: string[], reference: boolean): StreamRecord {
  const tables = [{ name: 't', reference: false }, ...(reference ? [{ name: 'r', reference: true }] : [])]
  return {
    workflowUid: 'w',
    workflow: 'w',
    keyspace: 'k',
    direction: 'forward',
    source: ref(source),
    targets: targets.map(ref),
    tables,
    options: {},
  } as unknown as StreamRecord
}

test('promise 5: on the way back, one shard feeds the reference tables of every shard of the old side', () => {
  for (const reference of [true, false]) {
    const streams = [forward('-80', ['-40', '40-80', '80-c0', 'c0-'], reference), forward('80-', ['80-c0', 'c0-'], reference)]
    const back = streamsBack(streams, streams, side('-80', '80-'), side('-40', '40-80', '80-c0', 'c0-'))
    assert.deepEqual(
      back.map((stream) => [stream.source.shard, stream.movesReference, stream.targets.map((target) => target.shard)]),
      [
        ['-40', true, reference ? ['-80', '80-'] : ['-80']],
        ['40-80', false, ['-80']],
        ['80-c0', false, ['80-']],
        ['c0-', false, ['80-']],
      ],
    )
  }
})
