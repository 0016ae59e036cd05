import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { shardUid } from './shard-uid.ts'

test('promise 1: a shard whose range has long bounds has a uid that fits in the id of a transaction, and its own', () => {
  const workflow = randomUUID()
  const names = ['-80', '1000-1040', '100000-100040', '100040-100080', '8000000000000000-8000000000000001']
  const uids = names.map((name) => shardUid(workflow, name))
  for (const uid of uids) assert.ok(uid.length <= 47, uid)
  assert.equal(new Set(uids).size, names.length)
  assert.deepEqual(
    names.map((name) => shardUid(workflow, name)),
    uids,
    'a repeated step finds what it made',
  )
  assert.equal(uids[1], `${workflow}.1000-1040`)
})
