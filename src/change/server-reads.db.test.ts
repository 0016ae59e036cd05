/** Who reads a server, by its own figures: counted where the server had counted nothing, and unknown where it can't count (promises 6, 12). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { readBetween, readersOf, setCounting } from './server-reads.ts'

for (const flavour of flavours()) {
  test(`${flavour}: reads are counted from when that is asked for, by account, and no longer than that`, async () => {
    // As the product starts its own servers.
    await using server = await testServer({ flavour, performanceSchema: 'counts' })
    const admin = await connect(server.config)
    await admin.query("CREATE USER report@'%' IDENTIFIED BY 'r'")
    await admin.query('CREATE DATABASE app')
    await admin.query('CREATE TABLE app.t (a INT PRIMARY KEY)')
    await admin.query("GRANT SELECT ON app.* TO report@'%'")
    const report = await connect({ ...server.config, user: 'report', password: 'r' })
    const noted: string[] = []
    const note = async (): Promise<void> => void noted.push('switched on')
    assert.equal(await setCounting(admin, true, note), null)
    assert.equal(await setCounting(admin, true, note), null, 'it counts already')
    assert.deepEqual(noted, ['switched on'])
    // Sessions that were there before are counted too.
    await report.query('SELECT COUNT(*) FROM app.t')
    const before = await readersOf(admin)
    assert.deepEqual(readBetween(before, await readersOf(admin), ['root']), [])
    await report.query('SELECT COUNT(*) FROM app.t')
    await report.query('SELECT 1')
    assert.deepEqual(readBetween(before, await readersOf(admin), ['root']), ['report (2 statements)'])
    assert.deepEqual(
      (await readersOf(admin)).sessions.filter((user) => user === 'report'),
      ['report'],
    )
    assert.equal(await setCounting(admin, false), null)
    const after = await readersOf(admin)
    await report.query('SELECT 1')
    if (flavour === 'mysql') assert.deepEqual(readBetween(after, await readersOf(admin), ['root']), [])
    report.destroy()
    await admin.close()
  })
}

test('promise 6: a server that can not count reads is not one that nobody reads', { skip: !flavours().includes('mysql') }, async () => {
  await using server = await testServer({ flavour: 'mysql', performanceSchema: false })
  const admin = await connect(server.config)
  assert.match((await setCounting(admin, true)) ?? '', /performance_schema is OFF/)
  await admin.close()
})
