/** When a consumer's session ends and another begins: with everything that it cannot follow, and with nothing else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { put, updateRecord } from '../topology/typed.ts'
import { builtOn } from './built-on.ts'

const fleet = {
  v: 1,
  name: 'k',
  keyspace: 'k',
  branch: 'main',
  definitionDigest: 'd',
  wanted: 'running',
  holdAt: null,
} as unknown as FleetRecord

test('a session is built on the servers of the shards that serve: another primary, another shard of the same name, another schema are another session', async () => {
  const store = new MemoryStore()
  const shard = (name: string): ShardRecord => ({
    v: 1,
    keyspace: 'k',
    name,
    uid: `uid ${name}`,
    serverId: `server of ${name}`,
    schema: 's',
    madeBy: null,
    provisioned: false,
  })
  await store.commit(
    [],
    [put(keys.routing('k'), initialRouting(['-80', '80-'])), ...['-80', '80-', '-'].map((name) => put(keys.shard('k', name), shard(name)))],
  )
  const change = (name: string, part: Partial<ShardRecord>) =>
    updateRecord<ShardRecord>(store, keys.shard('k', name), (now) => (now === null ? null : { ...now, ...part }))
  let { text } = await builtOn(store, fleet)
  const other = async (): Promise<boolean> => {
    const before = text
    ;({ text } = await builtOn(store, fleet))
    return text !== before
  }
  assert.equal(await other(), false)
  await change('-80', { serverId: 'a replica' })
  assert.equal(await other(), true)
  await change('80-', { uid: 'made anew' })
  assert.equal(await other(), true)
  await change('80-', { schema: 't' })
  assert.equal(await other(), true)
  // One that does not serve (a target of a reshard) is nothing to it.
  await change('-', { serverId: 'elsewhere' })
  assert.equal(await other(), false)
  assert.equal(
    (await builtOn(store, { ...fleet, wanted: 'held', holdAt: { '0': '5' }, floorHeldUntilMs: 7, heldShard: '-80' })).text,
    text,
    'what it follows while it runs',
  )
  assert.notEqual((await builtOn(store, { ...fleet, definitionDigest: 'e' })).text, text)
})
