/** Who reads a server, by its own figures: counted where the server had counted nothing, and unknown where it can't count (promises 6, 12). */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { readBetween, readersByName, readersOf, startCounting, stopCounting } from './server-reads.ts'
import type { Place } from './server-reads.ts'

const place: Place = { schemas: ['app'], served: [] }
const root = ['root']

for (const flavour of flavours()) {
  test(`${flavour}: reads are counted from when that is asked for, by account, and no longer than that`, async () => {
    // As the product starts its own servers.
    await using server = await testServer({ flavour, performanceSchema: 'counts' })
    const admin = await connect(server.config)
    await admin.query("CREATE USER report@'%' IDENTIFIED BY 'r'")
    await admin.query('CREATE DATABASE app')
    await admin.query('CREATE DATABASE nothing')
    await admin.query('CREATE TABLE app.t (a INT PRIMARY KEY)')
    await admin.query("GRANT SELECT ON *.* TO report@'%'")
    const report = await connect({ ...server.config, user: 'report', password: 'r' })
    const noted: string[][] = []
    const note = async (off: readonly string[]): Promise<void> => void noted.push([...off])
    assert.equal(await startCounting(admin, note), null)
    assert.equal(await startCounting(admin, note), null, 'it counts already')
    assert.equal(noted.length, 1)
    // Sessions that were there before are counted too.
    await report.query('SELECT COUNT(*) FROM app.t')
    const look = (): ReturnType<typeof readersOf> => readersOf(admin, place)
    const before = await look()
    assert.equal(before.shared, false, 'an empty schema is nobody’s use of it')
    assert.deepEqual(readBetween(before, await look(), root), [])
    await report.query('SELECT COUNT(*) FROM app.t')
    await report.query('SELECT 1')
    assert.deepEqual(readBetween(before, await look(), root), ['report (2 statements)'])
    assert.deepEqual(
      (await look()).sessions.filter((user) => user === 'report'),
      ['report'],
    )
    // Somebody who is logging in, and then is gone, has not used it.
    const stranger = createConnection({ host: server.host, port: server.port })
    await once(stranger, 'data')
    assert.ok((await look()).sessions.includes('unauthenticated user'))
    setTimeout(() => stranger.destroy(), 300)
    assert.ok(!(await readersByName(admin, place, systemClock, AbortSignal.timeout(20_000))).sessions.includes('unauthenticated user'))
    await stopCounting(admin, noted[0] ?? [])
    const after = await look()
    await report.query('SELECT 1')
    if (flavour === 'mysql') assert.deepEqual(readBetween(after, await look(), root), [])
    report.destroy()
    await admin.close()
  })

  test(`${flavour}: where others have tables too, what counts is rows read of ours, by whomever, and who sits there`, async () => {
    await using server = await testServer({ flavour, performanceSchema: 'counts' })
    const admin = await connect(server.config)
    for (const schema of ['app', 'other']) {
      await admin.query(`CREATE DATABASE ${schema}`)
      for (const name of ['t', 'copied']) {
        await admin.query(`CREATE TABLE ${schema}.${name} (a INT PRIMARY KEY)`)
        await admin.query(`INSERT INTO ${schema}.${name} VALUES (1), (2)`)
      }
    }
    for (const user of ['report', 'sw_gate']) {
      await admin.query(`CREATE USER ${user}@'%' IDENTIFIED BY 'r'`)
      await admin.query(`GRANT SELECT ON *.* TO ${user}@'%'`)
    }
    const report = await connect({ ...server.config, user: 'report', password: 'r' })
    const gate = await connect({ ...server.config, user: 'sw_gate', password: 'r' })
    let off: readonly string[] = []
    assert.equal(await startCounting(admin, async (names) => void (off = names)), null)
    const seen = async (work: () => Promise<unknown>, of: Place = place): Promise<string[]> => {
      const before = await readersOf(admin, of)
      await work()
      const after = await readersOf(admin, of)
      assert.equal(after.shared, true)
      return [...readBetween(before, after, root), ...after.sessions]
    }
    const read = (by: Connection, table: string) => (): Promise<unknown> => by.query(`SELECT * FROM ${table}`)
    assert.deepEqual(await seen(read(report, 'other.t')), [], 'the other application’s own business')
    assert.deepEqual(await seen(read(gate, 'other.t')), [], 'gates of another keyspace')
    assert.match((await seen(read(report, 'app.t'))).join(), /^somebody: app\.t \(\d+ rows\)$/)
    assert.match((await seen(read(gate, 'app.t'))).join(), /^somebody: app\.t \(\d+ rows\)$/)
    const served: Place = { schemas: ['app'], served: ['copied'] }
    assert.deepEqual(await seen(read(gate, 'app.copied'), served), [])
    assert.match((await seen(read(gate, 'app.t'), served)).join(), /app\.t/)
    assert.deepEqual(await seen(() => report.query('USE app')), ['report'], 'it can read the next moment')
    if (flavour === 'mariadb') {
      await read(report, 'app.t')()
      assert.match((await seen(() => admin.query('FLUSH TABLE_STATISTICS'))).join(), /set back/)
    }
    await stopCounting(admin, off)
    for (const connection of [report, gate, admin]) connection.destroy()
  })
}

test('promise 6: a server that can not count reads is not one that nobody reads', { skip: !flavours().includes('mysql') }, async () => {
  await using server = await testServer({ flavour: 'mysql', performanceSchema: false })
  const admin = await connect(server.config)
  assert.match((await startCounting(admin, async () => undefined)) ?? '', /performance_schema is OFF/)
  await admin.close()
})

test('promise 6: nor one that was told to count for some only', { skip: !flavours().includes('mysql') }, async () => {
  await using server = await testServer({ flavour: 'mysql', performanceSchema: 'counts' })
  const admin = await connect(server.config)
  const why = async (narrowed: string, back: string): Promise<string> => {
    await admin.query(narrowed)
    const said = await startCounting(admin, async () => undefined)
    await admin.query(back)
    return said ?? 'it counts'
  }
  const consumer = (to: string): string =>
    `UPDATE performance_schema.setup_consumers SET ENABLED = '${to}' WHERE NAME = 'thread_instrumentation'`
  assert.match(await why(consumer('NO'), consumer('YES')), /thread_instrumentation off/)
  const actor = 'performance_schema.setup_actors'
  assert.match(
    await why(`INSERT INTO ${actor} (HOST, USER, ENABLED) VALUES ('%', 'report', 'NO')`, `DELETE FROM ${actor} WHERE USER = 'report'`),
    /leaves accounts out/,
  )
  assert.equal(await why('DO 0', 'DO 0'), 'it counts')
  // Put back as it was found, no more.
  const on = (): Promise<string | null | undefined> =>
    admin.value("SELECT ENABLED FROM performance_schema.setup_instruments WHERE NAME = 'statement/com/Execute'")
  await admin.query("UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME = 'statement/com/Execute'")
  await admin.query("UPDATE performance_schema.setup_instruments SET ENABLED = 'NO' WHERE NAME = 'statement/sql/select'")
  let off: readonly string[] = []
  assert.equal(await startCounting(admin, async (names) => void (off = names)), null)
  await stopCounting(admin, off)
  assert.equal(await on(), 'YES')
  await admin.close()
})
