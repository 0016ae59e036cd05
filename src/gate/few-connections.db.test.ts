/** Statements that hold some connections while they wait for others come to their last one, however many they are and however few connections there are. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { connect } from '../mysql/connect.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

const shardNames = ['-40', '40-80', '80-c0', 'c0-']
const schemaOf = (name: string): string => `f_${name.replace('-', '_')}`
const [connections, clients, times] = [5, 12, 3] as const

for (const flavour of flavours().slice(0, 1)) {
  describe(flavour, () => {
    let server: TestServer
    let gate: Gate
    let port: number
    const client = (): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })

    before(async () => {
      server = await testServer({ flavour })
      const admin = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
      for (const name of shardNames) {
        await admin.query(`CREATE DATABASE ${schemaOf(name)}`)
        await admin.query(`CREATE TABLE ${schemaOf(name)}.t (k BIGINT PRIMARY KEY, v INT)`)
        await admin.query(`CREATE TABLE ${schemaOf(name)}.c (id BIGINT PRIMARY KEY, email VARCHAR(60), KEY (email))`)
      }
      await admin.query('CREATE DATABASE lk')
      await admin.query('CREATE TABLE lk.email_idx (email VARCHAR(60) PRIMARY KEY, keyspace_id VARBINARY(16))')
      await admin.close()
      const store = new MemoryStore()
      await addServer(store, 's1', server.port, flavour)
      await addUser(store, 'app', 'secret')
      await addKeyspace(store, 'lk', [{ name: '-', serverId: 's1', schema: 'lk' }])
      await addKeyspace(
        store,
        'app',
        shardNames.map((name) => ({ name, serverId: 's1', schema: schemaOf(name) })),
        {
          sharded: true,
          vschema: {
            sharded: true,
            vindexes: {
              hash: { type: 'hash' },
              email: { type: 'consistent_lookup_unique', params: { table: 'lk.email_idx', from: 'email', to: 'keyspace_id' }, owner: 'c' },
            },
            tables: {
              t: { column_vindexes: [{ column: 'k', name: 'hash' }] },
              c: {
                column_vindexes: [
                  { column: 'id', name: 'hash' },
                  { column: 'email', name: 'email' },
                ],
              },
            },
          },
        },
      )
      // Who waits for good would be told so after the time of a test.
      ;({ gate, port } = await startGate(store, { backendConnectionsMax: connections, poolWaitMs: 60_000 }))
      const c = await client()
      await c.query(`INSERT INTO t VALUES ${Array.from({ length: 40 }, (_, i) => `(${i}, ${i})`).join(', ')}`)
      await c.close()
    })

    after(async () => {
      await gate?.stop()
      await server?.[Symbol.asyncDispose]()
    })

    const cases: [string, (client: number, time: number) => readonly string[]][] = [
      ['SELECTs over all shards', () => ['SELECT v FROM t ORDER BY v']],
      ['SELECTs that are gathered', () => ['SELECT a.v, b.v FROM t a JOIN t b ON a.v = b.k + 1 ORDER BY a.v']],
      [
        'INSERTs over several shards',
        (c, i) => [`INSERT INTO t VALUES ${[0, 1, 2, 3].map((n) => `(${1000 + c * 100 + i * 10 + n}, 0)`).join(', ')}`],
      ],
      ['INSERTs with a lookup', (c, i) => [`INSERT INTO c VALUES (${c * 100 + i}, 'mail${c}-${i}')`]],
      [
        'INSERTs with a lookup within transactions of one shard',
        (c, i) => ['BEGIN', `INSERT INTO c VALUES (${5000 + c * 100 + i}, 'txn${c}-${i}')`, 'COMMIT'],
      ],
      [
        'INSERTs of rows that are gathered',
        (c, i) => [`INSERT INTO t SELECT k + ${100_000 + (c * times + i) * 1000}, v FROM t WHERE k < 40`],
      ],
      [
        'transactions that come to one shard after the other, each in its own order',
        (c) => ['BEGIN', ...Array.from({ length: 12 }, (_, n) => `SELECT v FROM t WHERE k = ${(c + n) % 12}`), 'COMMIT'],
      ],
      [
        'transactions that gather rows, and write them, beside their branches',
        (c, i) => [
          'BEGIN',
          `SELECT v FROM t WHERE k = ${c}`,
          'SELECT COUNT(*) FROM t a JOIN t b ON a.v = b.k + 1 WHERE a.k < 40 AND b.k < 40',
          `INSERT INTO t SELECT k + ${200_000 + (c * times + i) * 1000}, v FROM t WHERE k < 4`,
          'COMMIT',
        ],
      ],
      [
        'all of them at once',
        (c, i) =>
          [
            'SELECT v FROM t WHERE k < 40 ORDER BY v',
            'SELECT COUNT(*) FROM t a JOIN t b ON a.v = b.k + 1 WHERE a.k < 40 AND b.k < 40',
            `INSERT INTO c VALUES (${9000 + c * 100 + i}, 'all${c}-${i}')`,
            `UPDATE t SET v = v WHERE k IN (1, 2, 3, 4, 5, 6)`,
          ].slice(c % 4, (c % 4) + 1),
      ],
    ]
    for (const [what, statements] of cases)
      test(`promise 8: ${clients} sessions on ${connections} connections: ${what}`, { timeout: 40_000 }, async () => {
        const all = await Promise.all(Array.from({ length: clients }, client))
        await Promise.all(
          all.map(async (c, at) => {
            for (let i = 0; i < times; i++) for (const sql of statements(at, i)) await c.query(sql)
          }),
        )
        for (const c of all) await c.close()
        assert.ok(true)
      })
  })
}
