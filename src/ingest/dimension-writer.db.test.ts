/**
 * Rule 13 of PROTOCOLS 4 on real servers: an old branch takes all records, a new one those from a later start, and rows of the old one are copied to the new one while both
 * write, each image as old as it may be. Whatever the order, both end alike; with a REPLACE in place of the guarded upsert they do not.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
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
import { planTable, type TablePlan } from './table-plan.ts'
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

type Sent = { readonly k: number; readonly at: number; readonly n: number; readonly offset: number }
type Way = 'guarded' | 'as the fleet' | 'replace'

for (const flavour of flavours())
  describe(`rule 13 on ${flavour}`, () => {
    let sql: Connection
    const [old, fresh] = [`dim_old_${process.pid}`, `dim_new_${process.pid}`]
    before(async () => {
      sql = await connect((await sharedServer(flavour)).config)
      for (const schema of [old, fresh]) {
        await sql.query(`CREATE DATABASE ${schema}`)
        await sql.query(`CREATE TABLE ${schema}.${ddl}`)
      }
    })
    after(async () => {
      for (const schema of [old, fresh]) await sql.query(`DROP DATABASE ${schema}`)
      sql.destroy()
    })
    const differing = async (runs: (seed: number) => Promise<boolean>): Promise<number> => {
      let differ = 0
      for (let seed = 1; seed <= 12; seed++) if (!(await runs(seed))) differ++
      return differ
    }

    test('a copy in any order, of images however old, merges with what the fleet writes; a REPLACE loses it', async (t) => {
      const found = (way: Way): Promise<number> => differing((seed) => new Branches(sql, old, fresh, seed, way).inAnyOrder())
      assert.equal(await found('guarded'), 0)
      const without = await found('replace')
      t.diagnostic(`without the guard ${without} of 12 runs differ`)
      assert.ok(without > 0)
    })

    test('kept in step in the order of the binlog, replayed after crashes: what others write beside the fleet is there, which the fleet’s own guard would keep out', async (t) => {
      const found = (way: Way): Promise<number> => differing((seed) => new Branches(sql, old, fresh, seed, way).inStep())
      assert.equal(await found('guarded'), 0)
      const strict = await found('as the fleet')
      t.diagnostic(`with the fleet’s own guard ${strict} of 12 runs differ`)
      assert.ok(strict > 0)
    })
  })

const columns = ['k', 'label', 'ver', 'least', 'most', 'note']
const merged = {
  name: 'd',
  columns: columns.map((name) => ({ name, dataType: name === 'ver' ? 'varbinary' : 'bigint', key: name === 'k' })),
  merge: { columns: { label: 'last', least: 'min', most: 'max' }, lastVersion: 'ver' },
} as const

/** An old branch that takes all records and a new one that takes those from `start` on, each at its own pace. */
class Branches {
  readonly #sql: Connection
  readonly #old: string
  readonly #fresh: string
  readonly #way: Way
  #state: number
  #plan!: TablePlan
  readonly #start = 6
  readonly #records: readonly Sent[]
  #atOld = 0
  #atNew = this.#start

  constructor(sql: Connection, old: string, fresh: string, seed: number, way: Way) {
    this.#sql = sql
    this.#old = old
    this.#fresh = fresh
    this.#way = way
    this.#state = seed
    // Event times come out of order: the version decides, not the offset.
    this.#records = Array.from({ length: 20 }, (_, offset) => {
      return { k: this.#random(3), at: 1000 + offset - this.#random(8), n: this.#random(100), offset }
    })
  }

  #random(below: number): number {
    return (this.#state = (this.#state * 48271) % 2147483647) % below
  }

  get #busy(): boolean {
    return this.#atOld < this.#records.length || this.#atNew < this.#records.length
  }

  /** Whether both end alike where images of the old branch, however old, reach the new one in any order. */
  async inAnyOrder(): Promise<boolean> {
    await this.#begin()
    const waiting = await this.#images()
    while (this.#busy || waiting.length > 0) {
      const choice = this.#random(4)
      if (choice === 0 && (await this.#takeOld())) waiting.push(...(await this.#images()).filter(() => this.#random(2) === 0))
      else if (choice === 1) await this.#takeNew()
      else if (waiting.length > 0) await this.#write(waiting.splice(this.#random(waiting.length), 1)[0] ?? '')
    }
    return this.#alike('label, HEX(ver) AS ver, least, most')
  }

  /** The same where images come in the order of one binlog, from a stored position again after each crash, and others change rows beside the fleet. */
  async inStep(): Promise<boolean> {
    await this.#begin()
    const binlog = await this.#images()
    let [applied, stored] = [0, 0]
    while (this.#busy || applied < binlog.length) {
      const choice = this.#random(7)
      const k = this.#random(3)
      if (choice === 0 && (await this.#takeOld())) binlog.push(...(await this.#images()))
      else if (choice === 1) await this.#takeNew()
      else if (choice === 2 && this.#busy) {
        // Somebody corrects what a record made, and writes a column that no record has.
        await this.#sql.query(`UPDATE ${this.#old}.d SET label = 'by hand ${binlog.length}', note = 'n${binlog.length}' WHERE k = ${k}`)
        binlog.push(...(await this.#images(k)))
      } else if (choice === 3) applied = stored
      else if (applied < binlog.length) {
        await this.#write(binlog[applied++] ?? '')
        if (this.#random(3) === 0) stored = applied
      }
    }
    return this.#alike('label, HEX(ver) AS ver, least, most, note')
  }

  /** The old shard is past the start when the pass begins. */
  async #begin(): Promise<void> {
    const { tables } = await readSchema(this.#sql, this.#old)
    const { plan } = planTable({ definition: definition.tables[0]!, topicId: 't', info: tables[0] ?? null, vschema: null, sharded: false })
    assert.ok(plan !== null)
    this.#plan = plan
    for (const schema of [this.#old, this.#fresh]) await this.#sql.query(`DELETE FROM ${schema}.d`)
    while (this.#atOld < this.#start) await this.#takeOld()
  }

  async #takeOld(): Promise<boolean> {
    const record = this.#records[this.#atOld]
    if (record === undefined) return false
    this.#atOld++
    await this.#put(this.#old, record)
    return true
  }

  async #takeNew(): Promise<void> {
    const record = this.#records[this.#atNew]
    if (record === undefined) return
    this.#atNew++
    await this.#put(this.#fresh, record)
  }

  async #put(schema: string, { offset, ...event }: Sent): Promise<void> {
    const record = { partition: 0, offset: BigInt(offset), timestampMs: 0, key: null, value: Buffer.from(JSON.stringify(event)) }
    const made = makeRows({ definition, plans: [this.#plan] }, record, 't').rows
    const rows = made.map((row): MergedRow => ({ ...row, cells: [...row.cells] as never }))
    for (const statement of insertStatements(tableStatements(this.#plan, schema, flavourOf(this.#sql)), rows))
      await this.#sql.query(statement.sql)
  }

  async #images(k?: number): Promise<string[]> {
    const rows = await this.#sql.allText(
      `SELECT k, label, HEX(ver) AS ver, least, most, note FROM ${this.#old}.d${k === undefined ? '' : ` WHERE k = ${k}`}`,
    )
    const note = (text: string | null | undefined): string => (text === null || text === undefined ? 'NULL' : `'${text}'`)
    return rows.map((row) => `(${row['k']},'${row['label']}',x'${row['ver']}',${row['least']},${row['most']},${note(row['note'])})`)
  }

  async #write(image: string): Promise<void> {
    const into = `INTO ${this.#fresh}.d (${columns.join(',')}) VALUES ${image}`
    const { onDuplicate } = dimensionWriter(merged, flavourOf(this.#sql).name)
    const guard = this.#way === 'guarded' ? onDuplicate : onDuplicate.replaceAll('>=`', '>`')
    await this.#sql.query(this.#way === 'replace' ? `REPLACE ${into}` : `INSERT ${into}${guard}`)
  }

  async #alike(what: string): Promise<boolean> {
    const all = (schema: string): Promise<unknown> => this.#sql.allText(`SELECT k, ${what} FROM ${schema}.d ORDER BY k`)
    return JSON.stringify(await all(this.#old)) === JSON.stringify(await all(this.#fresh))
  }
}
