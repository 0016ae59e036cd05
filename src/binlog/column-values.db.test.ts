/**
 * Proves: for every column type and every nasty value, the tail's cell is byte for byte what the copy path's SELECT gives (source.ts
 * "Values"), in insert, update and delete images, with and without the servers' compression, metadata and checksums.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours, testServer, uniqueName, type TestServer } from '../../test/kit/servers.ts'
import type { Connection, RawRow } from '../mysql/connection.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { canonicalExpression } from './canonical-select.ts'
import { ensureControlSchema, chooseControlTable } from './control-schema.ts'
import { currentPosition } from './position.ts'
import { readTableDefinitions } from './table-definitions.ts'
import type { ColumnDefinition, TableChooser } from './source.ts'
import { chooserOf, copySession, eventsUntilNow, flatten, tailOf } from './testkit/collect.ts'
import { typeCases } from './testkit/nasty-values.ts'

for (const flavour of flavours()) {
  describe(`column values on ${flavour}`, () => {
    let server: TestServer
    let connection: Connection
    before(async () => {
      server = await testServer({ flavour })
      connection = await copySession(server.config)
      await ensureControlSchema(connection)
    })
    after(async () => {
      await connection.close()
      await server[Symbol.asyncDispose]()
    })

    const cases = typeCases.filter(({ only }) => only === undefined || only === flavour)

    /** Creates the tables, fills them, changes and deletes rows; compares each image. */
    async function check(sessionSql: readonly string[], definitions: 'given' | 'absent'): Promise<void> {
      const schema = uniqueName('values')
      await connection.query(`CREATE DATABASE ${schema}`)
      for (const [i, { type }] of cases.entries())
        await connection.query(`CREATE TABLE ${schema}.t${i} (id INT NOT NULL PRIMARY KEY, v ${type}${/NULL/.test(type) ? '' : ' NULL'})`)
      const known = await readTableDefinitions(connection, schema)
      const chooser: TableChooser =
        definitions === 'given'
          ? await chooserOf(connection, schema)
          : (wanted, name) => chooseControlTable(wanted, name) ?? (wanted === schema ? { kind: 'decode' } : { kind: 'skip' })
      const tail = await tailOf(server.config, await currentPosition(connection), chooser)
      const writer = await copySession(server.config)
      try {
        await writer.query('SET NAMES utf8mb4')
        for (const sql of sessionSql) await writer.query(sql)
        const expected: { table: string; rows: RawRow[] }[] = []
        for (const [i, { values }] of cases.entries()) {
          const table = `${schema}.t${i}`
          for (const [id, value] of [...values, 'NULL'].entries())
            await writer.query(`INSERT IGNORE INTO ${table} VALUES (${id}, ${value})`)
          const columns = known.get(`t${i}`) as ColumnDefinition[]
          const result = await connection.query(
            `SELECT ${columns.map((column) => canonicalExpression(column)).join(', ')} FROM ${table} ORDER BY id`,
          )
          assert.ok(result.kind === 'rows' && result.rows.length === values.length + 1)
          expected.push({ table: `t${i}`, rows: result.rows.map((row) => row.map((cell) => (cell === null ? null : Buffer.from(cell)))) })
          await writer.query(`UPDATE ${table} SET id = id + 100000`)
          await writer.query(`DELETE FROM ${table} ORDER BY id`)
        }
        const changes = flatten(await eventsUntilNow(tail, connection), schema)
        for (const [i, { table, rows }] of expected.entries()) {
          const of = changes.filter((change) => change.table === table)
          const name = `${table} ${cases[i]?.type.slice(0, 60)}`
          const show = (list: (RawRow | null)[]): (string | null)[] =>
            list.map((row) =>
              row === null
                ? 'none'
                : row[1] === null || row[1] === undefined
                  ? null
                  : `${row[1].toString('latin1').slice(0, 100)} (${row[1].length})`,
            )
          const pick = (change: string, image: 'before' | 'after'): (RawRow | null)[] =>
            of.filter((entry) => entry.change === change).map((entry) => entry[image])
          for (const [change, image] of [
            ['insert', 'after'],
            ['update', 'before'],
            ['update', 'after'],
            ['delete', 'before'],
          ] as const) {
            const got = pick(change, image)
            assert.deepEqual(show(got), show(rows), `${name}: ${change} ${image}`)
            for (const [at, row] of got.entries()) {
              const want = rows[at]?.[1]
              assert.ok(want === null ? row?.[1] === null : row?.[1]?.equals(want as Buffer), `${name} row ${at}: bytes differ`)
            }
          }
        }
      } finally {
        await writer.close()
        await tail.close()
        await connection.query(`DROP DATABASE ${quoteIdentifier(schema)}`)
      }
    }

    test('promise 4: values are the bytes that a SELECT gives', () => check([], 'given'))
    if (flavour === 'mysql') {
      test('without definitions, by the metadata of MINIMAL', () => check([], 'absent'))
      test('compressed transactions', () => check(['SET SESSION binlog_transaction_compression=ON'], 'given'))
    }
    test('full metadata agrees with the definitions', async () => {
      await connection.query('SET GLOBAL binlog_row_metadata=FULL')
      try {
        await check([], 'given')
        if (flavour === 'mysql') await check([], 'absent')
      } finally {
        await connection.query(`SET GLOBAL binlog_row_metadata=${flavour === 'mysql' ? 'MINIMAL' : 'NO_LOG'}`)
      }
    })
    test('without checksums', async () => {
      await connection.query('SET GLOBAL binlog_checksum=NONE')
      try {
        await check([], 'given')
      } finally {
        await connection.query('SET GLOBAL binlog_checksum=CRC32')
      }
    })
    if (flavour === 'mariadb') {
      test('compressed events', async () => {
        await connection.query('SET GLOBAL log_bin_compress=1, GLOBAL log_bin_compress_min_len=10')
        try {
          await check([], 'given')
        } finally {
          await connection.query('SET GLOBAL log_bin_compress=0')
        }
      })
    }
  })
}
