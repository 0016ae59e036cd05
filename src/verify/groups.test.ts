/** What is compared with what. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'
import type { RoutingRecord, ShardRef, StreamRecord } from '../topology/records.ts'
import { feedingStreams, referenceGroup, shardGroups } from './groups.ts'

const ref = (shard: string): ShardRef => ({ shard, uid: shard, serverId: shard, schema: shard })

function streams(sources: string[], targets: string[], direction: 'forward' | 'reverse' = 'forward', references = false): StreamRecord[] {
  return sources.map((source, i) => ({
    v: 1,
    uid: `${direction}-${i}`,
    workflowUid: 'w',
    workflow: 'w',
    keyspace: 'k',
    direction,
    wanted: 'running',
    generation: 1,
    source: ref(source),
    targets: targets
      .filter((target) => (i === 0 && references) || keyRangesIntersect(parseKeyRange(source), parseKeyRange(target)))
      .map(ref),
    tables: [],
    movesReference: i === 0,
    copy: 'full',
    options: { onDdl: 'stop', deferSecondaryKeys: true, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
  }))
}

const shape = (all: StreamRecord[]): string[] =>
  shardGroups(all).map(
    ({ sources, targets }) => `${sources.map(({ shard }) => shard).join(',')} = ${targets.map(({ shard }) => shard).join(',')}`,
  )

test('groups are sets of shards that cover the same key range', () => {
  assert.deepEqual(shape(streams(['-'], ['-80', '80-'])), ['- = -80,80-'])
  assert.deepEqual(shape(streams(['-80', '80-'], ['-40', '40-80', '80-c0', 'c0-'])), ['-80 = -40,40-80', '80- = 80-c0,c0-'])
  assert.deepEqual(shape(streams(['-60', '60-c0', 'c0-'], ['-80', '80-'])), ['-60,60-c0,c0- = -80,80-'])
  assert.deepEqual(shape(streams(['-40', '40-80', '80-c0', 'c0-'], ['-80', '80-a0', 'a0-'])), ['-40,40-80 = -80', '80-c0,c0- = 80-a0,a0-'])
})

test('a stream that also moves reference tables everywhere joins nothing that it does not feed', () => {
  const all = streams(['-80', '80-'], ['-40', '40-80', '80-c0', 'c0-'], 'forward', true)
  assert.deepEqual(shape(all), ['-80 = -40,40-80', '80- = 80-c0,c0-'])
  assert.deepEqual(
    referenceGroup(all)?.targets.map(({ shard }) => shard),
    ['-40', '40-80', '80-c0', 'c0-'],
  )
  assert.equal(referenceGroup(all)?.kind, 'each')
})

test('only streams from the side that serves are compared', () => {
  const both = [...streams(['-'], ['-80', '80-']), ...streams(['-80', '80-'], ['-'], 'reverse')]
  const routing = (primary: string[], other: string[]): RoutingRecord => ({
    v: 1,
    token: 1,
    components: [
      {
        range: '-',
        workflow: 'w',
        epoch: 1,
        serving: { primary, replica: [] },
        other,
        phase: 'stable',
        to: null,
        hold: null,
        retired: false,
      },
    ],
  })
  assert.deepEqual(shape(feedingStreams(both, routing(['-'], ['-80', '80-']))), ['- = -80,80-'])
  assert.deepEqual(shape(feedingStreams(both, routing(['-80', '80-'], ['-']))), ['-80,80- = -'])
})
