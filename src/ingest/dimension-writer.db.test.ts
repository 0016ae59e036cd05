/**
 * Rule 13 of PROTOCOLS 4 on real servers: an old branch takes all records, a new one those from a later start, and rows of the old one are copied to the new one while both
 * write, each image as old as it may be. Whatever the order, both end alike; with a REPLACE in place of the guarded upsert they do not.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer } from '../../test/kit/servers.ts'
import type { MergedRow } from './coalesce.ts'
import { defineTopic } from './definition.ts'
import { dimensionWriter } from './dimension-writer.ts'
import { json } from './json.ts'
import { makeRows } from './made-row.ts'
import { planTable } from './table-plan.ts'
import { insertStatements, tableStatements } from './upsert.ts'

const definition = defineTopic({
  topic: 't',
  version: 1,
  decode: json({ k: 'integer', at: 'integer', n: 'integer' }),
  eventTime: (event) => Number(event.at),
  tables: {
    d: {
      kind: 'dimension',
      shardKey: ['k'],
      key: ['k'],
      lastVersion: 'ver',
      columns: { k: { merge: 'key' }, label: { merge: 'last' }, least: { merge: 'min' }, most: { merge: 'max' } },
      map: (event) => ({ k: event.k, label: `l${event.n}`, least: event.n, most: event.n }),
    },
  },
})
const ddl =
  "d (k INT NOT NULL PRIMARY KEY, label VARCHAR(20) NOT NULL, least BIGINT NULL, most BIGINT NOT NULL, ver VARBINARY(64) NOT NULL DEFAULT '', note VARCHAR(20) NULL)"

for (const flavour of flavours())
  describe(`rule 13 on ${flavour}`, () => {
    test('a copy in any order, of images however old, merges with what the fleet writes; a REPLACE loses it', async (t) => {
      const server = await sharedServer(flavour)
      const sql = await connect(server.config)
      const [old, fresh] = [`dim_old_${process.pid}`, `dim_new_${process.pid}`]
      for (const schema of [old, fresh]) await sql.query(`CREATE DATABASE ${schema}`)
      try {
        await sql.query(`CREATE TABLE ${old}.${ddl}`)
        await sql.query(`CREATE TABLE ${fresh}.${ddl}`)
        const differing = async (way: 'guarded' | 'replace'): Promise<number> => {
          let differ = 0
          for (let seed = 1; seed <= 12; seed++) if (!(await run(sql, old, fresh, seed, way))) differ++
          return differ
        }
        assert.equal(await differing('guarded'), 0)
        const found = await differing('replace')
        t.diagnostic(`without the guard ${found} of 12 runs differ`)
        assert.ok(found > 0)
      } finally {
        for (const schema of [old, fresh]) await sql.query(`DROP DATABASE ${schema}`)
        sql.destroy()
      }
    })
  })

/** Whether both branches ended alike. */
async function run(sql: Connection, old: string, fresh: string, seed: number, way: 'guarded' | 'replace'): Promise<boolean> {
  const flavour = flavourOf(sql)
  const { tables } = await readSchema(sql, old)
  const { plan } = planTable({ definition: definition.tables[0]!, topicId: 't', info: tables[0] ?? null, vschema: null, sharded: false })
  assert.ok(plan !== null)
  for (const schema of [old, fresh]) await sql.query(`DELETE FROM ${schema}.d`)
  let state = seed
  const random = (below: number): number => (state = (state * 48271) % 2147483647) % below
  // Event times come out of order: the version decides, not the offset.
  const records = Array.from({ length: 24 }, (_, offset) => ({ k: random(3), at: 1000 + offset - random(8), n: random(100), offset }))
  const start = 6
  const put = async (schema: string, { offset, ...event }: (typeof records)[number]): Promise<void> => {
    const record = { partition: 0, offset: BigInt(offset), timestampMs: 0, key: null, value: Buffer.from(JSON.stringify(event)) }
    const rows = makeRows({ definition, plans: [plan] }, record, 't').rows.map((row): MergedRow => ({
      ...row,
      cells: [...row.cells] as never,
    }))
    for (const statement of insertStatements(tableStatements(plan, schema, flavour), rows)) await sql.query(statement.sql)
  }
  const columns = ['k', 'label', 'ver', 'least', 'most', 'note']
  const cells = columns.map((name) => ({ name, dataType: name === 'ver' ? 'varbinary' : name === 'k' ? 'int' : 'x', key: name === 'k' }))
  const { onDuplicate } = dimensionWriter(
    { name: 'd', columns: cells, merge: { columns: { label: 'last', least: 'min', most: 'max' }, lastVersion: 'ver' } },
    flavour.name,
  )
  const images = async (): Promise<string[]> =>
    (await sql.allText(`SELECT k, label, HEX(ver) AS ver, least, most, note FROM ${old}.d`)).map(
      (row) =>
        `(${row['k']},'${row['label']}',x'${row['ver']}',${row['least']},${row['most']},${row['note'] == null ? 'NULL' : `'${row['note']}'`})`,
    )
  const write = async (image: string): Promise<void> => {
    const into = `INTO ${fresh}.d (${columns.join(',')}) VALUES ${image}`
    await sql.query(way === 'guarded' ? `INSERT ${into}${onDuplicate}` : `REPLACE ${into}`)
  }
  // The old shard is past the start when the pass begins; from there on each side takes its records at its own pace.
  let [atOld, atNew] = [0, start]
  while (atOld < start) await put(old, records[atOld++]!)
  const waiting: string[] = await images()
  while (atOld < records.length || atNew < records.length || waiting.length > 0) {
    const choice = random(4)
    if (choice === 0 && atOld < records.length) {
      await put(old, records[atOld++]!)
      // What the tail brings, in its order; the pass may land before or after.
      waiting.push(...(await images()).filter(() => random(2) === 0))
    } else if (choice === 1 && atNew < records.length) await put(fresh, records[atNew++]!)
    else if (choice >= 2 && waiting.length > 0) await write(waiting.splice(random(waiting.length), 1)[0]!)
  }
  const all = (schema: string): Promise<unknown> => sql.allText(`SELECT k, label, HEX(ver) AS ver, least, most FROM ${schema}.d ORDER BY k`)
  return JSON.stringify(await all(old)) === JSON.stringify(await all(fresh))
}
