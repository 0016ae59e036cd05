/** Prepared statements of several clients share those of a shard's connections; what one client bound must not be seen by another. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

type Shards = Parameters<typeof addKeyspace>[2]

/** A gate before the keyspace `app`, each of whose schemas has a table `t`. */
async function withGate(
  flavour: ReturnType<typeof flavours>[number],
  shards: Shards,
  options: Parameters<typeof addKeyspace>[3],
  work: (client: () => Promise<Connection>) => Promise<void>,
): Promise<void> {
  await using server = await testServer({ flavour })
  await using admin = await connect(server.config)
  await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
  await admin.query("GRANT ALL ON *.* TO sw_gate@'%'")
  for (const { schema } of shards) {
    await admin.query(`CREATE DATABASE ${schema}`)
    await admin.query(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY)`)
  }
  const store = new MemoryStore()
  await addServer(store, 's1', server.port, flavour)
  await addUser(store, 'app', 'secret')
  await addKeyspace(store, 'app', shards, options)
  const { gate, port } = await startGate(store)
  try {
    await work(() => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' }))
  } finally {
    await gate.stop()
  }
}

for (const flavour of flavours())
  test(`promise 10: over shards, a parameter has the type that its own client gave it; ${flavour}`, async () => {
    const shards = ['-80', '80-'].map((name) => ({ name, serverId: 's1', schema: `p_${name.replace('-', '_')}` }))
    const vschema = {
      sharded: true,
      vindexes: { hash: { type: 'hash' } },
      tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    }
    await withGate(flavour, shards, { sharded: true, vschema }, async (client) => {
      await using c = await client()
      await c.query('INSERT INTO t VALUES (1), (2), (3), (4)')
      for (const sql of ['SELECT ? AS v', 'SELECT ? AS v FROM t WHERE id = 1', 'SELECT ? AS v FROM t']) {
        for (const given of [1.5, 'text', 7n]) {
          const statement = await c.prepare(sql)
          const result = await statement.execute([given])
          statement.close()
          assert.ok(result.kind === 'rows')
          for (const [value] of result.rows) assert.equal(value?.toString(), String(given), sql)
        }
      }
      // A DDL on all shards tells the warnings of one server, and which; SHOW TABLES names the keyspace.
      const made = await c.query('CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)')
      assert.ok(made.kind === 'ok')
      const listed = await c.query('SHOW WARNINGS')
      assert.ok(listed.kind === 'rows')
      assert.deepEqual([made.warnings, listed.rows.length], [1, 1])
      const tables = await c.query('SHOW TABLES')
      assert.ok(tables.kind === 'rows')
      for (const name of [tables.columns[0]?.name, tables.columns[0]?.orgName]) assert.doesNotMatch(name ?? '', /p__?80/)
    })
  })

for (const flavour of flavours())
  test(`promise 10: on a connection that another client has bound, a parameter has the type that its own client gives it; ${flavour}`, async () => {
    await withGate(flavour, [{ name: '-', serverId: 's1', schema: 'plain' }], {}, async (client) => {
      /** In a transaction a session keeps its connection. */
      const begun = async (c: Connection): Promise<string> => {
        await c.query('BEGIN')
        return String(await c.value('SELECT CONNECTION_ID()'))
      }
      await using a = await client()
      await using b = await client()
      await using c = await client()
      await using d = await client()
      const sql = 'SELECT ? AS v'
      const there = await begun(a)
      const first = await a.prepare(sql)
      await first.execute([1.5])
      // Prepared elsewhere, since that connection is taken; executed there, since then the others are.
      const second = await b.prepare(sql)
      await a.query('COMMIT')
      for (const one of [c, d]) if ((await begun(one)) === there) await one.query('COMMIT')
      const result = await second.execute(['text'])
      assert.ok(result.kind === 'rows')
      assert.equal(result.rows[0]?.[0]?.toString(), 'text')
      const again = await second.execute(['more'])
      assert.ok(again.kind === 'rows')
      assert.equal(again.rows[0]?.[0]?.toString(), 'more')
    })
  })

for (const flavour of flavours())
  test(`promise 10: what one client has prepared is not read by its settings for another; ${flavour}`, async () => {
    const vschema = {
      sharded: true,
      vindexes: { hash: { type: 'hash' } },
      tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    }
    const sharded = ['-80', '80-'].map((name) => ({ name, serverId: 's1', schema: `r_${name.replace('-', '_')}` }))
    const literal = flavour === 'mysql' ? "TIMESTAMP'2026-01-01 00:00:00+00:00'" : "TIMESTAMP'2026-01-01 00:00:00'"
    const hours = flavour === 'mysql' ? '2026-01-01 05:00:00' : '2026-01-01 00:00:00'
    for (const [shards, options] of [
      [[{ name: '-', serverId: 's1', schema: 'plain' }], {}],
      [sharded, { sharded: true, vschema }],
    ] as const)
      await withGate(flavour, shards, options, async (client) => {
        await using a = await client()
        await using b = await client()
        await a.query('INSERT INTO t VALUES (1)')
        const ask = async (c: Connection, sql: string): Promise<string | undefined> => {
          const statement = await c.prepare(sql)
          const result = await statement.execute([1n])
          statement.close()
          return result.kind === 'rows' ? result.rows[0]?.[0]?.toString() : undefined
        }
        for (const [settings, others, sql, first, then] of [
          ['default_week_format = 0', 'default_week_format = 3', "SELECT WEEK('2026-01-01') AS w FROM t WHERE id = ?", '0', '1'],
          [
            "time_zone = '+00:00'",
            "time_zone = '+05:00'",
            `SELECT CAST(${literal} AS CHAR) AS at FROM t WHERE id = ?`,
            '2026-01-01 00:00:00',
            hours,
          ],
        ] as const) {
          await a.query(`SET ${settings}`)
          await b.query(`SET ${others}`)
          // One after the other they have one connection.
          assert.equal(await ask(a, sql), first)
          assert.equal(await ask(b, sql), then, sql)
          assert.equal(await ask(a, sql), first)
        }
      })
  })
