import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Core } from './core.ts'
import type { ShardView } from './view.ts'
import { deciderOf } from '../mysql/our-schema.ts'
import { Within } from './within.ts'
import { Xa } from './xa.ts'

test('a decider that says nothing keeps no connection, also of a gate that has made no decision there yet', async () => {
  let cut = 0
  const connection = {
    query: () => new Promise<never>((_, reject) => (connection.end = reject)),
    end: (_: Error): void => assert.fail('nothing was asked'),
    destroy() {
      cut++
      connection.end(new Error('cut'))
    },
  }
  let given = 0
  const backend = { connection, signature: 'innodb_lock_wait_timeout=10', pool: { give: () => given++ } }
  const core = { clock: systemClock, pools: { take: async () => backend } } as unknown as Core
  const within = new Within(core, 20)
  const shard = { uid: 'u', server: { id: 's' } } as unknown as ShardView
  const judging = new Xa(core).judge('sw1-a-u', shard, within)
  await assert.rejects(within.wait(judging), /no answer within 20 ms/)
  assert.equal(cut, 1)
  await assert.rejects(judging, /cut/)
  assert.equal(given, 1)
  within.end()
})

test('promise 1: ids of transactions have room for the uid of a shard that a reshard made', () => {
  const uid = '8f79e86b-6774-43e6-a951-b7049883f845.1000-1040'
  const id = new Xa({} as Core).newId({ uid } as ShardView)
  assert.ok(id.length <= 64, `servers take 64 bytes of ${id}`)
  assert.equal(deciderOf(id), uid)
})
