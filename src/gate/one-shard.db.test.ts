/** A keyspace that has one shard, and will have more: its ids are drawn and its lookups kept as over several. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'
import type { Gate } from './gate.ts'

/** Ids of the sequence; the server's own counter stands far below. */
const drawnFrom = 1_000

for (const flavour of flavours()) {
  describe(flavour, () => {
    let server: TestServer
    let admin: Connection
    let store: MemoryStore
    let gate: Gate
    let c: Connection

    before(async () => {
      server = await testServer({ flavour })
      admin = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query("GRANT ALL ON *.* TO sw_gate@'%'")
      for (const schema of ['ids', 'whole', 'low', 'high']) await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
      await admin.query('CREATE TABLE ids.job_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)')
      await admin.query(`INSERT INTO ids.job_seq VALUES (0, ${drawnFrom}, 100)`)
      for (const lookup of ['tag_idx', 'code_idx'])
        await admin.query(`CREATE TABLE ids.${lookup} (tag INT, id BIGINT, keyspace_id VARBINARY(16), PRIMARY KEY (tag, id, keyspace_id))`)
      for (const schema of ['whole', 'low', 'high']) {
        await admin.query(`CREATE TABLE ${schema}.job (id BIGINT AUTO_INCREMENT PRIMARY KEY, tag INT, body VARCHAR(20))`)
        await admin.query(`CREATE TABLE ${schema}.coded (k BIGINT, id BIGINT, tag INT, n INT, PRIMARY KEY (k, id))`)
        await admin.query(`CREATE TABLE ${schema}.source (id BIGINT PRIMARY KEY, tag INT)`)
      }
      store = new MemoryStore()
      await addServer(store, 's1', server.port, flavour)
      await addUser(store, 'app', 'secret')
      await addKeyspace(store, 'ids', [{ name: '-', serverId: 's1', schema: 'ids' }])
      const lookup = (owner: string, table: string): object => ({
        type: 'consistent_lookup',
        params: { table: `ids.${table}`, from: 'tag,id', to: 'keyspace_id' },
        owner,
      })
      const byId = { column: 'id', name: 'hash' }
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' }, job_tag: lookup('job', 'tag_idx'), coded_tag: lookup('coded', 'code_idx') },
        tables: {
          job: {
            column_vindexes: [byId, { columns: ['tag', 'id'], name: 'job_tag' }],
            auto_increment: { column: 'id', sequence: 'ids.job_seq' },
          },
          coded: {
            column_vindexes: [
              { column: 'k', name: 'hash' },
              { columns: ['tag', 'id'], name: 'coded_tag' },
            ],
          },
          source: { column_vindexes: [byId] },
        },
      }
      const shards = [
        { name: '-', serverId: 's1', schema: 'whole' },
        { name: '-80', serverId: 's1', schema: 'low' },
        { name: '80-', serverId: 's1', schema: 'high' },
      ]
      await addKeyspace(store, 'app', shards, { sharded: true, vschema, serving: ['-'], mode: 'single' })
      let port: number
      ;({ gate, port } = await startGate(store))
      c = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
    })
    after(async () => {
      await c?.close()
      await gate?.stop()
      await admin?.close()
      await server?.[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      for (const table of ['job', 'coded', 'source']) await c.query(`DELETE FROM ${table}`)
      await c.query('INSERT INTO source VALUES (1, 5), (2, 6), (4, 7)')
    })

    const inLookup = async (table: string): Promise<string[]> => {
      await gate.core.sweeps.settled()
      return (await admin.allText(`SELECT CONCAT(tag, ':', id) AS x FROM ids.${table} ORDER BY tag, id`)).map((row) => row['x'] ?? '')
    }

    for (const [sql, rows] of [
      ["INSERT INTO job (tag, body) VALUES ((SELECT MAX(tag) FROM source), 'a')", 1],
      ["INSERT INTO job (tag, body) SELECT tag, 'b' FROM source", 3],
      ["INSERT INTO job (id, tag, body) SELECT NULL, tag, 'c' FROM source WHERE id = 4", 1],
      ["REPLACE INTO job SET tag = (SELECT MIN(tag) FROM source), body = 'd'", 1],
    ] as const)
      test(`promise 10: ids are of the sequence, and the lookup has each row: ${sql}`, async () => {
        const result = await c.query(sql)
        assert.equal(result.kind === 'ok' && result.affectedRows, BigInt(rows))
        assert.equal(await c.value(`SELECT COUNT(*) FROM job WHERE id >= ${drawnFrom}`), String(rows))
        const kept = (await c.allText('SELECT CONCAT(tag, ":", id) AS x FROM job ORDER BY tag, id')).map((row) => row['x'])
        assert.deepEqual(await inLookup('tag_idx'), kept)
      })

    test('promise 10: rows of a table with a lookup are found after the split: the lookup has the keyspace ids that they have at last', async () => {
      await c.query('INSERT INTO coded SELECT id, id, tag, 1 FROM source')
      await c.query('INSERT INTO coded VALUES (11, 11, (SELECT MIN(tag) FROM source), 2)')
      // With its shard key a row gets another keyspace id.
      await c.query('UPDATE coded SET k = 20 WHERE k = 1')
      await c.query('UPDATE coded SET k = k + 30 WHERE n = 2')
      await c.query('UPDATE coded SET k = 4, n = 3 WHERE k = 4')
      const rows = await c.allText('SELECT k, id, tag, n FROM coded ORDER BY k')
      assert.equal(rows.length, 4)
      const entries = async (): Promise<string[]> => {
        await gate.core.sweeps.settled()
        const found = await admin.allText("SELECT CONCAT_WS(':', tag, id, HEX(keyspace_id)) AS x FROM ids.code_idx ORDER BY 1")
        return found.map((row) => row['x'] ?? '')
      }
      const kept = await entries()
      await c.query('DELETE FROM coded')
      await admin.query('DELETE FROM ids.code_idx')
      for (const { k, id, tag, n } of rows) await c.query(`INSERT INTO coded VALUES (${k}, ${id}, ${tag}, ${n})`)
      const missing = (await entries()).filter((entry) => !kept.includes(entry))
      assert.deepEqual(missing, [])
    })
  })
}
