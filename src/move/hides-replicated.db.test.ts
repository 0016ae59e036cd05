/**
 * PROTOCOLS 1.10: a source that replicates from another server and does not log what comes so (log_slave_updates=OFF, MariaDB's default) hides it: such rows are in no binlog that a stream reads. It is refused before anything is made, at
 * each start of a stream, and within seconds where it comes to be so meanwhile.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { follow, forgetOwn } from '../../test/kit/replication.ts'
import { flavours, sharedServer, testServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { binlogProblems } from '../mysql/flavour/shared.ts'
import { fill, World } from './testkit/world.ts'

const used: AsyncDisposable[] = []
after(async () => {
  for (const one of used) await one[Symbol.asyncDispose]()
})

/** Of MariaDB: an account without SLAVE MONITOR knows of replication that runs. */
async function assertRestricted(world: World, flavour: 'mariadb' | 'mysql'): Promise<void> {
  if (flavour === 'mysql') return
  await world.s.query("CREATE USER few@'%' IDENTIFIED BY 'x'")
  await world.s.query("GRANT BINLOG MONITOR ON *.* TO few@'%'")
  await using few = await connect({ ...world.source.config, user: 'few', password: 'x' })
  assert.equal((await flavourOf(few).binlogSettings(few)).hidesReplicated, 'log_slave_updates')
}

for (const flavour of flavours()) {
  test(`1.10 on ${flavour}: what a source replicates and does not log would be lost: it is refused, and a stream that runs stops`, async () => {
    const setting = flavour === 'mysql' ? 'log_replica_updates' : 'log_slave_updates'
    const [upstream, source] = await Promise.all([
      testServer({ flavour }),
      testServer({ flavour, extra: { [setting.replaceAll('_', '-')]: 'OFF' } }),
    ])
    used.push(upstream, source)
    await using u = await connect(upstream.config)
    await forgetOwn(u)
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, { source, target: await sharedServer(flavour) })
    await fill(world, 0, 10, 10)
    const found = async (): Promise<string[]> =>
      binlogProblems(await flavourOf(world.s).binlogSettings(world.s))
        .map(({ setting: name, value }) => `${name} ${value}`)
        .filter((problem) => problem.startsWith(setting))
    assert.deepEqual(await found(), [], 'it replicates from nowhere')
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    const schema = world.sourceRefs[0]!.schema
    await u.query('SET SESSION sql_log_bin = 0')
    await u.query(`CREATE DATABASE ${schema}`)
    await u.useDatabase(schema)
    await u.query(world.tables[0]!.ddl)
    await u.query("CREATE USER repl@'%' IDENTIFIED BY 'r'")
    await u.query('SET SESSION sql_log_bin = 1')
    await follow(world.s, u, upstream.port)
    await u.query(`INSERT INTO item VALUES (1001, 1, NULL, 'hidden', 0)`)
    const there = async (): Promise<boolean> => (await world.s.value('SELECT 1 FROM item WHERE id = 1001')) === '1'
    await until('the row to come to the source', there, 20_000)
    assert.deepEqual(await found(), [`${setting} OFF`])
    await assertRestricted(world, flavour)
    await world.until('the stream to see it', () => world.state(record.uid) === 'failed')
    const failed = (): string | undefined => world.reports.get(record.uid)?.error?.code
    assert.equal(failed(), 'SW-MOVE-042', JSON.stringify(world.reports.get(record.uid)?.error))
    assert.match(world.reports.get(record.uid)?.error?.what ?? '', new RegExp(`replicate from another server with ${setting}=OFF`))
    const onTarget = `SELECT 1 FROM ${world.targetRefs[0]!.schema}.item WHERE id = 1001`
    assert.equal(await world.t.value(onTarget), undefined, 'no event brings it')
    await running.done
    // Nor does one begin, though nothing comes just now.
    await world.s.query('STOP REPLICA')
    world.reports.clear()
    const again = world.start({ ...record, generation: 2 })
    await world.until('an end', () => world.state(record.uid) === 'failed')
    assert.equal(failed(), 'SW-MOVE-042')
    await again.done
    await world.s.query('RESET REPLICA ALL')
    await world.s.query('SET GLOBAL read_only = 0')
    assert.deepEqual(await found(), [])
    // MySQL takes GTIDs that it did not log for purged ones, sooner or later, and gives a tail without them no more (SW-BINLOG-004).
    if (flavour === 'mysql') return
    await world.s.query('DELETE FROM item WHERE id = 1001')
    world.reports.clear()
    const last = world.start({ ...record, generation: 3 })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 10)
    await last.stop()
  })
}
