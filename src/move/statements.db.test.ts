/**
 * Streams into one target do not wait for each other's rows: a DELETE by keys that reads the whole table, as servers do with what they take for a small one, waits
 * for every row that another stream has written and not committed (seen: rounds that stood for 14 s in a merge).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { connectWriter } from './access.ts'
import { stampOf } from './testkit/samples.ts'
import { Pending } from './pending.ts'
import { readSourceTables } from './source-tables.ts'
import { roundStatements } from './statements.ts'

for (const flavour of flavours()) {
  test(`1.6: deletes of a round wait for no row that another stream is writing, however small the table looks; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using other = await connect(server.config)
    const schema = uniqueName('s')
    await other.query(`CREATE DATABASE ${schema}`)
    await other.useDatabase(schema)
    await other.query(
      'CREATE TABLE t (id BIGINT NOT NULL, owner BIGINT NOT NULL, op BIGINT NOT NULL, PRIMARY KEY (id), UNIQUE KEY by_op (owner, op)) ENGINE=InnoDB',
    )
    const vindex = { type: 'hash', params: {}, columns: ['owner'] }
    const [source] = await readSourceTables(other, 'source', schema, [{ name: 't', reference: false, vindex }])
    assert(source !== undefined)
    await other.query('BEGIN')
    await other.query(`INSERT INTO t VALUES ${Array.from({ length: 2_000 }, (_, i) => `(${2 * i},${i},${i})`).join(',')}`)

    const address = { id: 's', name: 's', flavour, connect: server.config }
    await using lane = await connectWriter(address)
    await lane.query('SET SESSION innodb_lock_wait_timeout=2')
    const stamp = stampOf()
    const pending = new Pending()
    for (let i = 0; i < 500; i++) pending.add({ table: source.plan, key: String(2 * i + 1), row: null, images: [String(i)] })
    const [round] = roundStatements(pending.take(stamp), 'several-sources', schema, 1)
    assert(round !== undefined && round.deletes.length > 0)
    for (const sql of round.deletes) await lane.query(sql)
    await lane.query('ROLLBACK')
    await other.query('ROLLBACK')
  })
}
