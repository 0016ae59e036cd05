/** Landings by LOAD DATA (bulk-load.ts) and as parameters (parameter-rows.ts) keep every byte, as INSERTs do; what LOCAL makes a warning is refused. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connectWriter } from './access.ts'
import { bulkLoadSql } from './bulk-load.ts'
import { Segment } from './chunk.ts'
import { Lane } from './lane.ts'
import { keyTextOf, replaceSql } from './parameter-rows.ts'
import { RowEncoder } from './row-encoder.ts'
import { insertHead } from './statements.ts'
import { planTable, type TablePlan } from './table-plan.ts'

const texts = ["it's", '\\', "\\'", '\\N', 'NULL', '),(', "'),('", ',', "a,'b", '\n\r\t', '\0', '\x1a', '', ' ', '"', 'é€😀', "''"]
const columns = `id BIGINT UNSIGNED NOT NULL PRIMARY KEY, n DECIMAL(30,10), f FLOAT, d DOUBLE, y YEAR, t TEXT CHARACTER SET utf8mb4, l VARCHAR(200) CHARACTER SET latin1,
  u VARCHAR(100) CHARACTER SET utf16, j VARCHAR(100) CHARACTER SET cp932, b VARBINARY(200), bl LONGBLOB, dt DATETIME(6), ts TIMESTAMP(6) NULL`

for (const flavour of flavours()) {
  describe(`bulk load on ${flavour}`, () => {
    test('LOAD DATA and INSERT of one segment store the same bytes', async () => {
      await using server = await testServer({ flavour, extra: { local_infile: 1 } })
      await using conn = await connect({ ...server.config, charset: 'binary' })
      await conn.query('CREATE DATABASE app')
      for (const name of ['by_insert', 'by_load']) await conn.query(`CREATE TABLE app.${name} (${columns})`)
      await using writer = await connectWriter({ id: 's', name: 's', flavour, connect: server.config })
      await conn.query('CREATE TABLE app.guard (n INT)')
      await conn.query('INSERT INTO app.guard VALUES (1)')
      const lane = new Lane(writer, 'UPDATE app.guard SET n = n + 1', { stream: 's', target: 't', clock: systemClock })

      const byInsert = segmentOf(await planOf(conn, 'by_insert'), rows())
      await lane.transaction([byInsert.statement()])
      const plan = await planOf(conn, 'by_load')
      const sql = bulkLoadSql(plan, 'app')
      assert.ok(sql !== null)
      const byLoad = segmentOf(plan, rows())
      await lane.transaction([{ sql, rowsText: [byLoad.rowsAlone()], rows: byLoad.rows }, 'UPDATE app.guard SET n = n + 1'])
      assert.deepEqual(await hexRows(conn, 'by_load'), await hexRows(conn, 'by_insert'))
      assert.equal((await hexRows(conn, 'by_load')).length, rows().length)

      // Some rows dropped, as a landing drops touched ones.
      await conn.query('DELETE FROM app.by_load')
      const some = byLoad.without((key) => Number(key) % 2 === 0)
      assert.ok(some !== null)
      await lane.transaction([{ sql, rowsText: [some.rowsAlone()], rows: some.rows }])
      assert.equal((await hexRows(conn, 'by_load')).length, rows().filter((row) => Number(row[0]) % 2 === 1).length)

      // A value that does not fit is a warning under LOCAL: refused, nothing kept.
      await conn.query('DELETE FROM app.by_load')
      const bad = Buffer.from("(1,'x',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),")
      await assert.rejects(lane.transaction([{ sql, rowsText: [bad], rows: 1 }]), { code: 'SW-MOVE-008' })
      await assert.rejects(lane.transaction([{ sql, rowsText: [byLoad.rowsAlone()], rows: byLoad.rows + 1 }]), { code: 'SW-MOVE-027' })
      assert.deepEqual(await hexRows(conn, 'by_load'), [])
    })

    test(
      'rows as parameters and INSERT store the same bytes',
      { skip: flavour === 'mariadb' ? false : 'MySQL has no executions of many rows at once' },
      async () => {
        await using server = await testServer({ flavour })
        await using conn = await connect({ ...server.config, charset: 'binary' })
        await conn.query('CREATE DATABASE app')
        for (const name of ['by_insert', 'by_parameters', 'other']) await conn.query(`CREATE TABLE app.${name} (${columns})`)
        await conn.query('CREATE TABLE app.guard (n INT)')
        await conn.query('INSERT INTO app.guard VALUES (1)')
        await using writer = await connectWriter({ id: 's', name: 's', flavour, connect: server.config })
        const lane = new Lane(writer, 'UPDATE app.guard SET n = n + 1', { stream: 's', target: 't', clock: systemClock })
        const byInsert = await planOf(conn, 'by_insert')
        await lane.transaction([segmentOf(byInsert, rows()).statement()])

        const plan = await planOf(conn, 'by_parameters')
        const segment = await readSegment(writer, byInsert, plan)
        const prepare = replaceSql(plan, 'app')
        const all = { prepare, rowsOf: [segment.rowsAlone()], rows: segment.rows }
        // Twice: what stands is replaced. Between other statements, and beside rows of another table.
        for (let i = 0; i < 2; i++) {
          const other = { ...all, prepare: replaceSql(await planOf(conn, 'other'), 'app') }
          await lane.transaction([all, 'UPDATE app.guard SET n = n + 10', other])
          assert.deepEqual(await hexRows(conn, 'by_parameters'), await hexRows(conn, 'by_insert'))
        }
        assert.deepEqual(await hexRows(conn, 'other'), await hexRows(conn, 'by_insert'))
        assert.equal(await conn.value('SELECT n FROM app.guard'), '24')

        const some = segment.without((key) => Number(key) % 2 === 0)
        assert.ok(some !== null)
        await conn.query('DELETE FROM app.by_parameters')
        await lane.transaction([{ prepare, rowsOf: [some.rowsAlone()], rows: some.rows }])
        assert.equal((await hexRows(conn, 'by_parameters')).length, some.rows)

        // What does not fit is a warning: refused, nothing kept; nor where not all rows came.
        await conn.query('DELETE FROM app.by_parameters')
        await conn.query('ALTER TABLE app.by_parameters MODIFY b VARBINARY(2)')
        await assert.rejects(lane.transaction([all]), { code: 'SW-MOVE-008' })
        await conn.query('ALTER TABLE app.by_parameters MODIFY b VARBINARY(200)')
        await assert.rejects(lane.transaction([{ ...all, rows: all.rows + 1 }]), { code: 'SW-MOVE-027' })
        await assert.rejects(lane.transaction(['UPDATE app.guard SET n = 0', { ...all, prepare: 'REPLACE INTO app.gone VALUES (?)' }]), { errno: 1146 }) // prettier-ignore
        assert.deepEqual(await hexRows(conn, 'by_parameters'), [])

        // Of many tables' statements a server keeps a few.
        for (let i = 0; i < 12; i++) {
          await conn.query(`CREATE TABLE app.many${i} LIKE app.by_insert`)
          await lane.transaction([{ ...all, prepare: replaceSql(await planOf(conn, `many${i}`), 'app') }])
        }
        assert.deepEqual(await hexRows(conn, 'many0'), await hexRows(conn, 'by_insert'))
        assert.ok(Number((await conn.allText("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'"))[0]?.Value) <= 4)
      },
    )
  })
}

/** As the mover reads and encodes them. */
async function readSegment(conn: Connection, from: TablePlan, plan: TablePlan): Promise<Segment> {
  const encoder = new RowEncoder(plan, 'selected')
  const segment = new Segment(Buffer.alloc(1 << 16), '', keyTextOf(plan))
  for await (const batch of await conn.rows(Buffer.from(`SELECT ${from.selectList} FROM app.${from.name} ORDER BY id`, 'latin1'))) {
    for (let row = 0; row < batch.length; row++) {
      segment.used = encoder.encodeParameters(batch, row, segment.buffer, segment.used)
      segment.keyEnds.push(encoder.keyEnd)
      segment.rowEnds.push(segment.used)
    }
  }
  return segment
}

/** Literals as the encoder writes them. */
function rows(): string[][] {
  const literal = (bytes: Buffer): string => `'${bytes.toString('latin1').replace(/['\\]/g, '\\$&')}'`
  const quoted = (text: string): string => literal(Buffer.from(text))
  return texts.map((text, i) => {
    const ascii = quoted([...text].filter((char) => char < '\x7f').join(''))
    const utf16 = literal(Buffer.from(text.slice(0, 40), 'utf16le').swap16())
    return i % 5 === 4
      ? [String(i), ...Array.from({ length: 12 }, () => 'NULL')]
      : [
          String(i),
          '-12345678901234567890.0123456789',
          '1.5',
          '1e300',
          '2024',
          quoted(text),
          ascii,
          utf16,
          ascii,
          quoted(text),
          quoted(text),
        ].concat("'2020-02-29 23:59:59.999999'", "'2001-01-01 00:00:01.000001'")
  })
}

function segmentOf(plan: TablePlan, values: string[][]): Segment {
  const segment = new Segment(Buffer.alloc(1 << 16), insertHead(plan, 'REPLACE', 'app'))
  for (const row of values) {
    const start = segment.used
    segment.used += segment.buffer.write(`(${row.join(',')}),`, start, 'latin1')
    segment.keyEnds.push(start + 1 + (row[0] as string).length)
    segment.rowEnds.push(segment.used)
  }
  return segment
}

async function planOf(conn: Connection, name: string): Promise<TablePlan> {
  const definitions = (await readTableDefinitions(conn, 'app')).get(name) ?? []
  return planTable({ schema: 'app', name, reference: true, definitions, key: ['id'], vindex: null, vindexColumns: [], toUtf8: () => null })
}

async function hexRows(conn: Connection, name: string): Promise<string[]> {
  const all = await conn.all(
    `SELECT id, n, f, d, y, HEX(t) t, HEX(l) l, HEX(u) u, HEX(j) j, HEX(b) b, HEX(bl) bl, dt, ts FROM app.${name} ORDER BY id`,
  )
  return all.map((row) => JSON.stringify(Object.values(row).map((cell) => cell?.toString('latin1') ?? null)))
}
