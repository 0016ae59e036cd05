/** A landing by LOAD DATA keeps every byte, as the same segment by INSERT does (bulk-load.ts); what LOCAL makes a warning is refused. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { connect } from '../mysql/connect.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connectWriter } from './access.ts'
import { bulkLoadSql } from './bulk-load.ts'
import { Segment } from './chunk.ts'
import { Lane } from './lane.ts'
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
      await lane.transaction([{ sql, rowsText: [byLoad.rowsText()], rows: byLoad.rows }, 'UPDATE app.guard SET n = n + 1'])
      assert.deepEqual(await hexRows(conn, 'by_load'), await hexRows(conn, 'by_insert'))
      assert.equal((await hexRows(conn, 'by_load')).length, rows().length)

      // Some rows dropped, as a landing drops touched ones.
      await conn.query('DELETE FROM app.by_load')
      const some = byLoad.without((key) => Number(key) % 2 === 0)
      assert.ok(some !== null)
      await lane.transaction([{ sql, rowsText: [some.rowsText()], rows: some.rows }])
      assert.equal((await hexRows(conn, 'by_load')).length, rows().filter((row) => Number(row[0]) % 2 === 1).length)

      // A value that does not fit is a warning under LOCAL: refused, nothing kept.
      await conn.query('DELETE FROM app.by_load')
      const bad = Buffer.from("(1,'x',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),")
      await assert.rejects(lane.transaction([{ sql, rowsText: [bad], rows: 1 }]), { code: 'SW-MOVE-008' })
      await assert.rejects(lane.transaction([{ sql, rowsText: [byLoad.rowsText()], rows: byLoad.rows + 1 }]), { code: 'SW-MOVE-027' })
      assert.deepEqual(await hexRows(conn, 'by_load'), [])
    })
  })
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

async function planOf(conn: Awaited<ReturnType<typeof connect>>, name: string): Promise<TablePlan> {
  const definitions = (await readTableDefinitions(conn, 'app')).get(name) ?? []
  return planTable({ schema: 'app', name, reference: true, definitions, key: ['id'], vindex: null, vindexColumns: [], toUtf8: () => null })
}

async function hexRows(conn: Awaited<ReturnType<typeof connect>>, name: string): Promise<string[]> {
  const all = await conn.all(
    `SELECT id, n, f, d, y, HEX(t) t, HEX(l) l, HEX(u) u, HEX(j) j, HEX(b) b, HEX(bl) bl, dt, ts FROM app.${name} ORDER BY id`,
  )
  return all.map((row) => JSON.stringify(Object.values(row).map((cell) => cell?.toString('latin1') ?? null)))
}
