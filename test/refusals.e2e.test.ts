/**
 * Everything that issue and manual say is refused, is refused with a code and with what to do, before anything was changed:
 * by the control API as its clients meet it (promise 7).
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import { SwError } from '../src/base/errors.ts'
import { systemClock } from '../src/base/clock.ts'
import { database, table, vschema } from '../src/demo/workload.ts'
import { findPort } from '../src/local/find-port.ts'
import { Installation } from './kit/installation.ts'
import { testServer } from './kit/servers.ts'
import { ReshardUnderTest } from './kit/workflow.ts'
import type { Spec } from './kit/workflow.ts'

type Told = { readonly code: string; readonly what: string; readonly fix: string }

const withoutSequence = {
  sharded: true,
  vindexes: { by_user: { type: 'hash' } },
  tables: { [table]: { column_vindexes: [{ column: 'user_id', name: 'by_user' }] } },
}

test('promise 7: what is refused says why and what to do', { timeout: 240_000 }, async (t) => {
  await using installation = await Installation.start({ rows: 300, keyspace: false })
  const { client } = installation
  const source = (sql: string): Promise<unknown> => installation.onExisting(async (connection) => connection.query(sql))
  const shards = (sourceShards: string[], targetShards: string[]): Spec => ({ sourceShards, targetShards })
  const four = shards(['-'], ['-40', '40-80', '80-c0', 'c0-'])
  /** What a creation would meet, all of it at once. */
  const planned = async (spec: Spec = four): Promise<Told[]> => (await new ReshardUnderTest(client, 'planned', spec).askCreate(true)).errors
  const apply = (given: Record<string, unknown>): Promise<unknown> =>
    client.call('applyVSchema', { keyspace: database }, { vschema: given })

  const refused = (name: string, code: string, look: () => Promise<readonly Told[]>, says?: RegExp): Promise<void> =>
    t.test(name, async () => {
      const told = await look()
      const one = told.find((error) => error.code === code)
      assert.ok(one, `${code} is told; told was: ${told.map((error) => `${error.code} ${error.what}`).join('; ') || 'nothing'}`)
      assert.ok(one.what.length > 10 && one.fix.length > 10, 'it says what and what to do')
      if (says !== undefined) assert.match(`${one.what}\n${one.fix}`, says)
      assert.doesNotMatch(`${one.what}${one.fix}`, /\{\w+\}|undefined|\[object/)
    })

  await refused(
    'a server too old',
    'SW-CHANGE-013',
    async () => {
      await using old = await olderServer(installation.existing.port)
      return await thrown(
        client.call(
          'createKeyspace',
          {},
          { name: database, server: { ...installation.existing.config, port: old.port, schema: database } },
        ),
      )
    },
    /10\.02.*10\.5/s,
  )
  await refused('a server that is not there', 'SW-CHANGE-012', async () =>
    thrown(
      client.call(
        'createKeyspace',
        {},
        { name: database, server: { host: '127.0.0.1', port: await findPort(0), user: 'root', password: '', schema: database } },
      ),
    ),
  )
  await refused('a schema that is not there', 'SW-CHANGE-014', () =>
    thrown(client.call('createKeyspace', {}, { name: database, server: { ...installation.existing.config, schema: 'nowhere' } })),
  )
  await client.call('createKeyspace', {}, { name: database, server: { ...installation.existing.config, schema: database } })
  await refused('a keyspace that exists', 'SW-CHANGE-010', () =>
    thrown(client.call('createKeyspace', {}, { name: database, server: { ...installation.existing.config, schema: database } })),
  )
  await refused('a keyspace without a sharded vschema', 'SW-CHANGE-007', planned)
  await refused('unknown vschema keys', 'SW-KEYSPACE-018', () => thrown(apply({ ...withoutSequence, vindexez: {} })), /vindexez/)
  await apply(withoutSequence)
  await refused(
    'AUTO_INCREMENT without a sequence, with both ways out',
    'SW-CHANGE-006',
    planned,
    /sequence create musclemaker_log\.exercise_log\.log_id.*AUTO_INCREMENT off/s,
  )
  const sequence = await client.call('createSequence', {}, { keyspace: database, table, column: 'log_id' })
  await apply(vschema(`${sequence.keyspace}.${sequence.name}`))
  assert.deepEqual(await planned(), [], 'now nothing stands in the way')

  await refused('ranges that overlap', 'SW-KEYSPACE-005', () => planned(shards(['-'], ['-80', '40-'])))
  await refused('ranges with a gap', 'SW-KEYSPACE-006', () => planned(shards(['-'], ['-40', '80-'])))
  await refused('targets that cover less than the sources', 'SW-KEYSPACE-007', () => planned(shards(['-'], ['-80'])))
  await refused('a shard that is source and target', 'SW-KEYSPACE-008', () => planned(shards(['-'], ['-'])))
  await refused('what is no key range', 'SW-KEYSPACE-001', () => thrown(planned(shards(['-'], ['-4', '4-']))))
  await refused('a source that does not serve', 'SW-CHANGE-002', () => planned(shards(['-80', '80-'], ['-40', '40-80', '80-c0', 'c0-'])))

  await refused(
    'a vindex on a missing column',
    'SW-CHANGE-005',
    async () => {
      const given = vschema(`${sequence.keyspace}.${sequence.name}`) as { tables: Record<string, object> }
      await apply({ ...given, tables: { [table]: { ...given.tables[table], column_vindexes: [{ column: 'usr_id', name: 'by_user' }] } } })
      try {
        return await planned()
      } finally {
        await apply(given)
      }
    },
    /usr_id/,
  )
  await refused(
    'a table that the vschema does not place',
    'SW-CHANGE-004',
    () => during(`CREATE TABLE ${database}.stray (id INT PRIMARY KEY)`, `DROP TABLE ${database}.stray`),
    /stray/,
  )
  await refused(
    'a table without a usable key',
    'SW-CHANGE-025',
    () => during(`CREATE TABLE ${database}.keyless (id INT, UNIQUE (id))`, `DROP TABLE ${database}.keyless`),
    /ALTER TABLE keyless/,
  )
  await refused(
    'a table with triggers, listed',
    'SW-CHANGE-026',
    () =>
      during(
        `CREATE TRIGGER ${database}.loud BEFORE INSERT ON ${database}.${table} FOR EACH ROW SET NEW.note = 'x'`,
        `DROP TRIGGER ${database}.loud`,
      ),
    /loud/,
  )
  await refused(
    'a cascade that the binlog hides',
    'SW-CHANGE-028',
    () =>
      during(
        `CREATE TABLE ${database}.child (id INT PRIMARY KEY, log_id BIGINT NOT NULL, CONSTRAINT falls FOREIGN KEY (log_id) REFERENCES ${table} (log_id) ON DELETE CASCADE)`,
        `DROP TABLE ${database}.child`,
      ),
    /falls/,
  )
  await source('CREATE DATABASE elsewhere')
  await source('CREATE TABLE elsewhere.customer (id INT PRIMARY KEY)')
  await refused(
    'a foreign key out of the schema',
    'SW-CHANGE-059',
    () =>
      during(
        `CREATE TABLE ${database}.child (id INT PRIMARY KEY, CONSTRAINT out_there FOREIGN KEY (id) REFERENCES elsewhere.customer (id))`,
        `DROP TABLE ${database}.child`,
      ),
    /out_there.*elsewhere\.customer/s,
  )
  await source('DROP DATABASE elsewhere')
  await refused(
    'a table of another engine',
    'SW-CHANGE-030',
    () => during(`CREATE TABLE ${database}.old_way (id INT PRIMARY KEY) ENGINE=MyISAM`, `DROP TABLE ${database}.old_way`),
    /ENGINE=InnoDB/,
  )
  await refused(
    'a row image that is not full',
    'SW-CHANGE-024',
    () => during('SET GLOBAL binlog_row_image = MINIMAL', 'SET GLOBAL binlog_row_image = FULL'),
    /binlog_row_image/i,
  )
  await refused(
    'binlogs that are kept for moments',
    'SW-CHANGE-024',
    () => during('SET GLOBAL binlog_expire_logs_seconds = 60', 'SET GLOBAL binlog_expire_logs_seconds = 0'),
    /binlog_expire_logs_seconds = 60/,
  )
  await refused(
    'a binlog format that is not ROW',
    'SW-CHANGE-024',
    () => during('SET GLOBAL binlog_format = MIXED', 'SET GLOBAL binlog_format = ROW'),
    /binlog_format/i,
  )
  await t.test('several at once, not one after the other', async () => {
    await source(`CREATE TABLE ${database}.stray (id INT) ENGINE=MyISAM`)
    const told = (await planned()).map((error) => error.code)
    await source(`DROP TABLE ${database}.stray`)
    for (const code of ['SW-CHANGE-004', 'SW-CHANGE-025', 'SW-CHANGE-030']) assert.ok(told.includes(code), `${code} in ${told.join(', ')}`)
  })
  assert.deepEqual(await planned(), [], 'nothing was left behind')

  await refused('a target that is not empty', 'SW-MOVE-024', async () => {
    await using target = await testServer({ durability: 'full', rootPassword: 'target-root' })
    const connection = await mysql.createConnection({ ...target.config, multipleStatements: true })
    await connection.query(
      `CREATE DATABASE full; CREATE TABLE full.${table} (log_id BIGINT PRIMARY KEY); INSERT INTO full.${table} VALUES (1)`,
    )
    await connection.end()
    const into = new ReshardUnderTest(client, 'into_rows', {
      ...shards(['-'], ['-80', '80-']),
      targetServers: [
        { ...target.config, schema: 'full' },
        { ...target.config, schema: 'empty' },
      ],
    })
    const ended = await into.outcome(await into.askCreate())
    assert.equal(ended.state, 'failed')
    await into.act('cancel')
    return ended.errors
  })
  const real = new ReshardUnderTest(client, 'real', shards(['-'], ['-80', '80-']))
  await real.create()
  await refused('a workflow name in use', 'SW-WORKFLOW-002', () => thrown(real.askCreate()))
  await refused(
    'two workflows on one shard',
    'SW-TOPOLOGY-006',
    async () => {
      const other = new ReshardUnderTest(client, 'other', shards(['-'], ['-40', '40-']))
      const ended = await other.outcome(await other.askCreate())
      return ended.errors
    },
    /real/,
  )
  await refused('reversing what was not switched', 'SW-CHANGE-020', () => verb(real, 'reversetraffic'))
  await refused('completing before the switch', 'SW-CHANGE-023', () => verb(real, 'complete'), /switchtraffic/)
  await refused('a workflow that is not there', 'SW-WORKFLOW-003', () =>
    thrown(client.call('showWorkflow', { keyspace: database, name: 'nobody' })),
  )
  await real.act('cancel')
  await t.test('a refused workflow leaves nothing: its name and its shard are free', async () => {
    const view = await client.call('showKeyspace', { keyspace: database })
    assert.deepEqual(
      view.shards.map((shard) => shard.name),
      ['-'],
    )
    assert.ok(view.routing.components.every((component) => component.workflow === null))
  })

  await t.test('SW-API-001: a control API that does not answer, at once', async () => {
    const startedMs = systemClock.monotonicMs()
    const { code, text } = await cli(['--api', `http://127.0.0.1:${await findPort(0)}`, 'status'])
    assert.equal(code, 1)
    assert.match(text, /SW-API-001.*does not answer.*\n.*shardwright up/)
    assert.ok(systemClock.monotonicMs() - startedMs < 5000)
  })
  await t.test('SW-MAIN-002: a data directory in use', async () => {
    const { code, text } = await cli(['up', '--data-dir', installation.dataDir, '--api-port', '0', '--gate-port', '0'])
    assert.equal(code, 1)
    assert.match(text, new RegExp(`SW-MAIN-002.*in use by process ${installation.treePid}`))
  })

  async function during(make: string, undo: string): Promise<Told[]> {
    await installation.onExisting(async (connection) => {
      await connection.query(`USE ${database}`)
      await connection.query(make)
    })
    try {
      return await planned()
    } finally {
      await source(undo)
    }
  }
})

test('a port that is taken moves on and says so', { timeout: 60_000 }, async () => {
  const taken = createServer()
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
  const { port } = taken.address() as AddressInfo
  try {
    await using installation = await Installation.start({ rows: 1, keyspace: false, apiPort: port })
    assert.ok(
      installation.said.some((line) => line.startsWith(`port ${port} is taken: the API listens on `)),
      installation.said.join('\n'),
    )
    assert.notEqual(installation.client.baseUrl, `http://127.0.0.1:${port}`)
    await installation.client.call('status')
  } finally {
    taken.close()
  }
})

async function verb(reshard: ReshardUnderTest, name: 'reversetraffic' | 'complete'): Promise<readonly Told[]> {
  const ended = await reshard.outcome(await reshard.ask(name))
  assert.equal(ended.state, 'failed')
  return ended.errors
}

async function thrown(work: Promise<unknown>): Promise<Told[]> {
  try {
    await work
  } catch (error) {
    if (error instanceof SwError) return [error.toJSON()]
    throw error
  }
  return []
}

/** The same server, seen through a relay that tells an older version in the greeting. */
async function olderServer(port: number): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<{ destroy(): void }>()
  const relay: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    sockets.add(client).add(upstream)
    upstream.once('data', (greeting) => {
      client.write(Buffer.from(greeting.toString('latin1').replace(/10\.11\.(\d+)/, '10.02.$1'), 'latin1'))
      upstream.pipe(client)
    })
    client.pipe(upstream)
    for (const socket of [client, upstream]) socket.on('error', () => undefined)
  })
  await new Promise<void>((done) => relay.listen(0, '127.0.0.1', done))
  return {
    port: (relay.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => relay.close(done))
    },
  }
}

async function cli(args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '..', 'src', 'main', 'cli.ts'), ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  const code = await new Promise<number | null>((done) => child.once('close', done))
  return { code, text }
}
