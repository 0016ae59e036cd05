/** PROTOCOLS 1.10 in the preflight of a workflow: what makes a server unfit to be followed is an error of its own each, and who could write past the binlog is told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { World } from '../move/testkit/world.ts'
import { connect } from '../mysql/connect.ts'
import type { ServerSecret } from '../topology/records.ts'
import { readSchema } from '../mysql/introspect.ts'
import { schemaFindings, serverFindings, serverNotes } from './source-checks.ts'

besideEachOther('preflight of a source', (flavour) => {
  test(`1.10, 1.14 on ${flavour}: each setting by which rows would be hidden, garbled or purged is found, with the way out; accounts that may skip the binlog are listed`, async () => {
    await using server = await testServer({ flavour, extra: { 'binlog-do-db': 'app' } })
    await using c = await connect(server.config)
    const worse =
      flavour === 'mysql'
        ? {
            binlog_row_image: 'NOBLOB',
            sync_binlog: '100',
            innodb_flush_log_at_trx_commit: '0',
            binlog_order_commits: 'OFF',
            binlog_row_value_options: 'PARTIAL_JSON',
            binlog_expire_logs_seconds: '500',
          }
        : {
            binlog_format: 'STATEMENT',
            binlog_row_image: 'NOBLOB',
            sync_binlog: '100',
            innodb_flush_log_at_trx_commit: '0',
            binlog_expire_logs_seconds: '500',
          }
    for (const [setting, value] of Object.entries(worse)) await c.query(`SET GLOBAL ${setting} = '${value}'`.replace(/'(\d+)'/, '$1'))
    if (flavour === 'mysql') for (const mode of ['ON_PERMISSIVE', 'OFF_PERMISSIVE', 'OFF']) await c.query(`SET GLOBAL gtid_mode = ${mode}`)
    const found = await serverFindings(c, 's1')
    const told = found.map(({ message }) => /has (.+?) = (.+?), which/.exec(message)?.slice(1, 3).join(' ') ?? message).toSorted()
    const expected = { ...worse, 'binlog filters': 'app', ...(flavour === 'mysql' ? { gtid_mode: 'OFF' } : {}) }
    assert.deepEqual(
      told,
      Object.entries(expected)
        .map((entry) => entry.join(' '))
        .toSorted(),
      found.map(({ message }) => message).join('\n'),
    )
    for (const finding of found) assert.match(finding.fix, /SET GLOBAL|set gtid_mode=ON|remove binlog_do_db/)

    const may = flavour === 'mysql' ? 'SYSTEM_VARIABLES_ADMIN' : 'BINLOG ADMIN'
    await c.query("ALTER USER root@'localhost' ACCOUNT LOCK")
    for (const sql of [
      "CREATE USER direct@'%', member@'%', plain@'%', sw_mover@'%'",
      'CREATE ROLE hides',
      `GRANT ${may} ON *.* TO hides`,
      "GRANT hides TO member@'%'",
      `GRANT ${may} ON *.* TO direct@'%'`,
      `GRANT ${may} ON *.* TO sw_mover@'%'`,
    ])
      await c.query(sql)
    const account = (user: string) => ({ user, password: '' })
    const ours: ServerSecret = { v: 1, admin: account('root'), mover: account('sw_mover'), gate: account('sw_gate') }
    const skippers = async (secret: ServerSecret | undefined): Promise<string[]> =>
      (await serverNotes(c, 's1', secret)).filter((note) => /sql_log_bin/.test(note))
    const [text, ...more] = await skippers(ours)
    assert.deepEqual(more, [])
    assert.equal(text, 's1: direct@%, member@% may SET sql_log_bin=0: no stream sees what is written so, only a vdiff does')
    assert.match((await skippers(undefined))[0] ?? '', /sw_mover@%/)
  })
})

if (flavours().includes('mariadb'))
  test('1.12 on mariadb: tables with keys WITHOUT OVERLAPS, on which the server refuses REPLACE, are refused, by the stream too', async () => {
    const period = 's DATE NOT NULL, e DATE NOT NULL, PERIOD FOR p (s, e)'
    const ddl = `CREATE TABLE item (id INT NOT NULL, owner INT NOT NULL, ${period}, PRIMARY KEY (id), UNIQUE KEY \`of p\` (owner, p WITHOUT OVERLAPS))`
    await using world = await World.create({
      flavour: 'mariadb',
      sources: ['-'],
      targets: ['-'],
      tables: [{ name: 'item', shardKey: 'owner', ddl }],
    })
    const { schema } = world.sourceRefs[0]!
    await world.s.query(`CREATE TABLE other (id INT NOT NULL PRIMARY KEY, \`WITHOUT OVERLAPS\` INT, ${period}, KEY (\`WITHOUT OVERLAPS\`))`)
    const found = schemaFindings(await readSchema(world.s, schema), false)
    assert.deepEqual(
      found.map(({ message }) => message.split('\n')[0]),
      ['table item has a key WITHOUT OVERLAPS: of p'],
    )
    const record = world.record(0)
    world.start(record)
    await world.until('an outcome', () => world.state(record.uid) === 'failed')
    assert.equal(world.reports.get(record.uid)?.error?.code, 'SW-MOVE-044')
  })
