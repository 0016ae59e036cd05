/** The fence of a hand-over: who passes the gates is refused by the server, and of a shared server nothing else is opened again (promise 2). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { World } from '../switch/testkit/world.ts'
import { flavourAvailable } from '../switch/testkit/servers.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import { put, readRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { dataOf } from './dualwrite-spec.ts'
import { closeOldSide, openOldSide } from './old-side-fence.ts'

const refusedThere = { errno: 1290 }

for (const flavour of ['mariadb', 'mysql'] as const)
  test(
    `promise 2: the old side of a hand-over is closed by its server and opened again; what others have closed there stays closed (${flavour})`,
    { skip: !flavourAvailable(flavour) && 'not installed' },
    async () => {
      // Both sides of a reshard on one server: the shards of the one are closed by armed triggers.
      const world = await World.start(flavour, 'stand-in', 0)
      try {
        const desk = await world.leader()
        const run: WorkflowRecord = {
          v: 1,
          uid: 'run',
          keyspace: 'app',
          name: 'grow',
          kind: 'dualwrite',
          state: 'holding',
          ended: false,
          spec: { toBranch: 'wide' },
          data: {},
          createdAtMs: 0,
          journal: [],
        }
        await world.store.commit([], [put(keys.workflow('app', 'grow'), run)])
        const old = (await readRecord<ShardRecord>(world.store, keys.shard('app', '-')))!.value
        await using client = await world.client(world.f)
        const write = (schema: string, id: number): Promise<unknown> =>
          client.query(`INSERT INTO ${schema}.t VALUES (${id}, 'past the gates', 0)`)
        await write('app__', 1)
        await assert.rejects(write('app__80', 2), refusedThere, 'another side is closed there')

        await closeOldSide(desk, run, [old])
        await assert.rejects(write('app__', 3), refusedThere)
        // A controller that died before the hand-over was decided: whoever leads next opens it, from the note alone.
        const next = await world.leader()
        await openOldSide(next, run, 'serves')
        await openOldSide(next, run, 'serves')
        await write('app__', 4)
        await assert.rejects(write('app__80', 5), refusedThere, 'it was not ours to open')
        await assert.rejects(write('app_80_', 6), refusedThere)

        // Decided: it stays closed for whoever asks for it to serve.
        await closeOldSide(next, run, [old])
        const stored = (await readRecord<WorkflowRecord>(world.store, keys.workflow('app', 'grow')))!.value
        assert.equal(dataOf(stored).oldClosed?.length, 1)
        const decided = { ...stored, data: { ...(stored.data as object), dimensionsEndedAtMs: 1 } }
        await world.store.commit([], [put(keys.workflow('app', 'grow'), decided)])
        await openOldSide(next, run, 'serves')
        await assert.rejects(write('app__', 7), refusedThere)
        await openOldSide(next, run, 'left')
        await assert.rejects(write('app__80', 8), refusedThere)
      } finally {
        await world.stop()
      }
    },
  )
