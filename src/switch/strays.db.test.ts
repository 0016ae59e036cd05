import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, StreamRecord } from '../topology/records.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { until } from '../../test/kit/until.ts'
import { watchKeyspace } from './strays.ts'
import { searchUnmarked } from './unmarked.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { fresh, World } from './testkit/world.ts'
import type { SwitchContext } from './context.ts'

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`closed servers are watched, ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    let context: SwitchContext
    before(async () => {
      world = await World.start(flavour, 'real')
      context = await world.leader()
      await using admin = await world.admin('n')
      await admin.query("CREATE USER dba@'%' IDENTIFIED BY 'x'")
      await admin.query("GRANT ALL ON *.* TO dba@'%'")
      await admin.query("ALTER USER dba@'%' ACCOUNT LOCK")
    })
    after(() => world.stop())
    const journal = async (): Promise<string[]> =>
      ((await readRecord<WorkflowRecord>(world.store, keys.workflow('app', 'w')))?.value.journal ?? []).map((entry) => entry.text)
    const wanted = async (): Promise<string[]> =>
      (await listRecords<StreamRecord>(world.store, keys.streamsOf(world.workflowUid))).map((stream) => stream.value.wanted)
    const dba = () => connect({ host: '127.0.0.1', port: world.n.port, user: 'dba', password: 'x' })

    test('promise 2: what an account writes that is let past the fence by name raises an alarm; what streams write does not', async () => {
      await updateRecord<KeyspaceRecord>(world.store, keys.keyspace('app'), (k) => (k === null ? null : { ...k, allowUnfenced: ['dba@%'] }))
      {
        await using admin = await world.admin('n')
        await admin.query("ALTER USER dba@'%' ACCOUNT UNLOCK")
      }
      assert.deepEqual(await watchKeyspace(context, 'app'), [], 'the first look only notes where it begins')
      await using client = await world.client(world.f)
      await client.query("INSERT INTO app__.t VALUES (1, 'a', 0), (2, 'a', 0)")
      await until('the stream to bring them', async () => (await world.ids(fresh)).length === 2, 10_000)
      assert.deepEqual(await watchKeyspace(context, 'app'), [], 'streams are no alarm')
      await using unfenced = await dba()
      await unfenced.query("INSERT INTO app__80.t VALUES (900, 'dba', 0)")
      const [alarm] = await watchKeyspace(context, 'app')
      assert.equal(alarm?.open, null)
      assert.match(alarm?.found.join('\n') ?? '', /^n: .* changed 1 rows of app__80\.t, and no stream of ours wrote it/)
      assert((await journal()).some((text) => /ALARM: .*changed 1 rows of app__80\.t/.test(text)))
      assert.deepEqual(await wanted(), ['running'])
      assert.deepEqual(await watchKeyspace(context, 'app'), [], 'told once')
      await unfenced.query('TRUNCATE TABLE app__80.t')
      const [truncated] = await watchKeyspace(context, 'app')
      assert.match(truncated?.found.join('\n') ?? '', /changed 0 rows of TRUNCATE TABLE app__80\.t/, 'no row event names what it removed')
      await context.pool.run('n', (server) => searchUnmarked(server, ['app__80', 'app_80_'], context.clock, AbortSignal.timeout(5_000)))
      await updateRecord<KeyspaceRecord>(world.store, keys.keyspace('app'), (k) => (k === null ? null : { ...k, allowUnfenced: [] }))
    })

    test('promise 2: a closed server that somebody opened is closed again, its workflow stopped, and what was written there is told', async () => {
      const [first] = await watchKeyspace(context, 'app')
      assert.match(first?.open ?? '', /dba@%/, 'it is not let past any more')
      await updateRecord<StreamRecord>(world.store, keys.stream(world.workflowUid, 'forward'), (s) =>
        s === null ? null : { ...s, wanted: 'running', generation: s.generation + 1 },
      )
      {
        await using admin = await world.admin('n')
        await admin.query('SET GLOBAL read_only = 0')
        await admin.query("ALTER USER app@'%' ACCOUNT UNLOCK")
        await using client = await world.client(world.n)
        await client.query("INSERT INTO app__80.t VALUES (902, 'stray', 0), (904, 'stray', 0)")
      }
      const [stray] = await watchKeyspace(context, 'app')
      assert.match(stray?.open ?? '', /app@%/)
      assert.match(stray?.found.join('\n') ?? '', /changed 2 rows of app__80\.t/)
      assert.deepEqual(await wanted(), ['stopped'])
      assert((await journal()).some((text) => /ALARM: .*closed again and the workflow is stopped/.test(text)))
      await assert.rejects(world.client(world.n), 'it is closed again')
      assert.deepEqual(await watchKeyspace(context, 'app'), [])
    })

    test('promise 6: what cannot be searched is unknown, not nothing', async () => {
      await context.pool.run('n', ({ connection }) =>
        connection.query(`UPDATE _shardwright.control_closed SET position = 'no position at all'`),
      )
      const search = await context.pool.run('n', (server) =>
        searchUnmarked(server, ['app__80', 'app_80_'], context.clock, AbortSignal.timeout(5_000)),
      )
      assert.equal(search.kind, 'unknown')
      await context.pool.run('n', async ({ connection }) => {
        await connection.query('DELETE FROM _shardwright.control_closed')
        await connection.query('SET GLOBAL read_only = 0')
        await connection.query("ALTER USER app@'%' ACCOUNT UNLOCK")
      })
      const [stray] = await watchKeyspace(context, 'app')
      assert.match(stray?.found.join('\n') ?? '', /unknown: where it stood when it was closed was not noted/)
    })
  })
}
