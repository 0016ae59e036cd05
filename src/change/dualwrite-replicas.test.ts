import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShardRecord } from '../topology/records.ts'
import { checkReplicas } from './dualwrite-replicas.ts'
import type { PreconditionRequest } from './dualwrite-world.ts'

const request = { keyspace: { name: 'insights' } } as PreconditionRequest
const shard = (name: string, replicas?: readonly string[]): ShardRecord =>
  ({ keyspace: 'insights', name, ...(replicas === undefined ? {} : { replicas }) }) as unknown as ShardRecord

test('replicas of old shards are in the way of a run: their reads would stay with the old side', async () => {
  assert.deepEqual(await checkReplicas({ request, shards: [shard('-80'), shard('80-', [])] }), [])
  const [finding, ...more] = await checkReplicas({ request, shards: [shard('-80', ['r1', 'r2']), shard('80-', ['r3']), shard('c0-')] })
  assert.deepEqual(more, [])
  assert.deepEqual([finding?.check, finding?.blocks], ['replicas', true])
  assert.match(finding?.what ?? '', /insights@replica .* -80 \(r1, r2\), 80- \(r3\), wherever the ramp stands/)
})
