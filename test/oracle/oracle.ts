/**
 * Promise 10, by many statements: each goes to the gate over four shards and to one unsharded server with the same rows; the answers must be one, or the gate must
 * refuse in words of ours. Statements that write are compared by what they say, and the tables by their rows now and then.
 */
import type { Connection } from '../../src/mysql/connection.ts'
import { type Answer, compareRows, compareWrites, type Difference } from './compare.ts'
import { ask, warningSort } from './ask.ts'
import { asText } from './literal.ts'
import { cutOf, missingInLookup, printAll, rowsOf } from './tables.ts'
import { withoutCounted } from './probe-tables.ts'
import { Probes, readsMeanwhile, textOf } from './probes.ts'
import { Dice } from './random.ts'
import { makeSchema, type SchemaSpec } from './schema.ts'
import { type Asked, Selects } from './select.ts'
import { judge } from './report.ts'
import { type Tally, tallyOf } from './tally.ts'
import { subqueryTags, weights } from './weights.ts'
import { Writes } from './write.ts'
import { startResharding } from './resharding.ts'
import { type Flavour, type ShardCount, shardNames, startWorld, type World } from './world.ts'

export type OracleOptions = {
  readonly seed: number
  readonly count: number
  readonly flavour: Flavour
  readonly clients: number
  readonly rows?: number
  /** On a real installation whose shards are switched meanwhile. */
  readonly reshard?: boolean
  /** How transactions over several shards end. */
  readonly mode?: 'multi' | 'xa'
  /** Of one shard: it is to draw ids and keep lookups as several do. */
  readonly shards?: ShardCount
}

export type Found = { readonly client: number; readonly sql: string; readonly form: string; readonly difference: Difference }
export type Report = {
  readonly options: OracleOptions
  readonly selects: Map<string, Tally>
  readonly writes: Map<string, Tally>
  readonly tags: Map<string, number>
  readonly differences: Found[]
  readonly refusals: Map<string, { count: number; examples: string[] }>
  readonly bySort: Map<string, number>
  /** Of warnings that differ: which. */
  readonly warnings: Map<string, { count: number; example: string }>
  wrong: number
  soft: number
  /** Switches and reversals underneath. */
  switches: number
  /** Transactions that a switch rolled back, as the gate told. */
  moved: number
  failures: string[]
  ms: number
}

/** Of an answer that is compared row by row. */
const rowsMax = 100_000
/** Writes; or rows written: INSERT … SELECT doubles a table each time, and a join of three of 900 rows has a million (tables.ts). */
const checkEvery = { writes: 40, rows: 400 }

export class Oracle {
  readonly #options: OracleOptions
  readonly #report: Report

  constructor(options: OracleOptions) {
    this.#options = options
    this.#report = {
      options,
      selects: new Map(),
      writes: new Map(),
      tags: new Map(),
      differences: [],
      refusals: new Map(),
      bySort: new Map(),
      warnings: new Map(),
      wrong: 0,
      soft: 0,
      switches: 0,
      moved: 0,
      failures: [],
      ms: 0,
    }
  }

  async run(): Promise<Report> {
    const startMs = performance.now()
    const { clients, seed, flavour, count } = this.#options
    const dice = Array.from({ length: clients }, (_, i) => new Dice(seed * 1000 + i))
    const schemas = dice.map((d, i) => makeSchema(d, flavour, clients === 1 ? '' : `p${i}_`))
    const vschema = {
      ...(schemas[0] as SchemaSpec).vschema,
      vindexes: Object.assign({}, ...schemas.map((s) => (s.vschema as { vindexes: object }).vindexes)) as object,
      tables: Object.assign({}, ...schemas.map((s) => (s.vschema as { tables: object }).tables)) as object,
    }
    const creates = schemas.flatMap((schema) => [...schema.tables.map((table) => table.create), ...schema.also])
    const prefixes = schemas.map((s) => s.prefix)
    await using resharding =
      this.#options.reshard === true
        ? await startResharding(flavour, ...withoutCounted(vschema, creates, prefixes), this.#options.mode)
        : null
    await using plain = resharding === null ? await startWorld(flavour, vschema, this.#options.mode, prefixes, this.#options.shards) : null
    const world = (resharding ?? plain) as World
    const done = new AbortController()
    const switching = resharding?.switching(done.signal)
    switching?.catch((error: unknown) => this.#report.failures.push(`the reshard: ${String(error)}`))
    await Promise.all(
      schemas.map(async (schema, i) => {
        const client = new Client(world, schema, dice[i] as Dice, i, this.#report, this.#options)
        await client.run(Math.ceil(count / clients))
      }),
    ).catch((error: unknown) => {
      throw resharding?.describe(error) ?? error
    })
    done.abort()
    this.#report.switches = (await switching?.catch(() => 0)) ?? 0
    judge(this.#report)
    this.#report.ms = performance.now() - startMs
    return this.#report
  }
}

/** One client with tables of its own. */
class Client {
  readonly #world: World
  readonly #schema: SchemaSpec
  readonly #dice: Dice
  readonly #report: Report
  readonly #number: number
  readonly #selects: Selects
  readonly #writes: Writes
  readonly #probes: Probes
  readonly #options: OracleOptions
  #one!: Connection
  #four!: Connection
  #shards: Connection[] | null = null
  #recent: string[] = []
  #inTransaction = false
  #moved = 0
  #rowsWritten = 0

  constructor(world: World, schema: SchemaSpec, dice: Dice, number: number, report: Report, options: OracleOptions) {
    this.#world = world
    this.#schema = schema
    this.#dice = dice
    this.#number = number
    this.#report = report
    this.#selects = new Selects(schema, dice)
    this.#writes = new Writes(schema, dice)
    this.#probes = new Probes(schema, dice, report.options.flavour, () => this.#selects.value())
    this.#options = options
  }

  async run(count: number): Promise<void> {
    this.#one = await this.#world.one()
    this.#four = await this.#world.four()
    const { shard } = this.#world
    this.#shards = shard === null ? null : await Promise.all(shardNames[this.#options.shards ?? 4].map((name) => shard(name)))
    for (const create of [...this.#schema.tables.map((table) => table.create), ...this.#schema.also]) {
      await this.#one.query(create)
      if (this.#shards !== null) await this.#four.query(create)
    }
    for (const create of this.#shards === null ? [] : this.#probes.functions())
      for (const connection of [this.#one, ...(this.#shards ?? [])]) await connection.query(create)
    for (const marked of [...this.#writes.initial(this.#options.rows ?? 60), ...this.#probes.initial()]) {
      await this.#one.query(asText(marked))
      await this.#four.query(asText(marked))
    }
    const dice = this.#dice
    let writes = 0
    for (let i = 0; i < count;) {
      if (!this.#inTransaction && dice.chance(weights.transaction)) {
        i += await this.#transaction()
        continue
      }
      i++
      // A sequence's keyspace, and levels under a switch, are other tests' subject.
      if (this.#shards !== null && dice.chance(weights.probe)) {
        await this.#probe()
        continue
      }
      if (dice.chance(weights.write)) {
        if (!(await this.#write())) return
        writes++
        if ((writes % checkEvery.writes === 0 || this.#rowsWritten > checkEvery.rows) && !(await this.#tablesAgree())) return
      } else await this.#select()
    }
    await this.#tablesAgree()
    for (const connection of [this.#one, this.#four, ...(this.#shards ?? [])]) await connection.close()
  }

  async #probe(): Promise<void> {
    const kind = this.#dice.weighted(weights.probes)
    const probe = this.#probes.next(kind)
    const tally = tallyOf(this.#report.writes, `probe: ${kind}`)
    for (const [at, step] of probe.steps.entries()) {
      tally.asked++
      const prepared = step.prepared && this.#dice.chance(weights.prepared)
      const got = await ask(this.#four, step.sql, prepared)
      if (step.refused) {
        tally.bothRefuse++
        const detail = 'it leaves ids to each shard, and is not refused'
        if (got.kind !== 'error' || got.code !== 'SW-GATE-100') await this.#found(tally, step.sql, 'text', { what: 'error', detail })
        continue
      }
      if (got.kind === 'error' && (got.code === 'SW-GATE-100' || ((probe.after !== undefined || kind === 'beside') && got.code !== null))) {
        tally.refused++
        if (probe.after !== undefined) continue
        // What follows would be about something else. Tables are looked at from outside of what it has begun: rolled back below.
        break
      }
      const expected = await ask(this.#one, step.sql, prepared)
      if (step.compare === 'rows') {
        const difference = compareRows({ ordered: true, folded: [], lists: [] }, expected, got)
        // Of what type a variable is the gate knows by its value.
        if (difference !== null && (kind === 'placed' || !['types', 'metadata', 'names'].includes(difference.what)))
          await this.#found(tally, textOf(probe.steps, at), 'text', difference)
      } else await this.#found(tally, step.sql, prepared ? 'prepared' : 'text', compareWrites(expected, got))
    }
    for (const sql of ['ROLLBACK', ...(probe.after ?? [])]) for (const on of [this.#four, this.#one]) await on.query(sql)
    if (probe.meanwhile !== null) {
      await this.#one.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${probe.meanwhile.level}`)
      const torn = await readsMeanwhile(this.#four, await this.#world.four(), probe.meanwhile)
      tally.asked++
      if (torn !== null) await this.#found(tally, probe.meanwhile.read, 'text', { what: 'values', detail: torn })
    }
  }

  async #transaction(): Promise<number> {
    const dice = this.#dice
    const both = async (sql: string): Promise<void> => {
      const got = await ask(this.#four, sql, false)
      if (got.kind === 'error' && got.errno === 1213 && this.#inTransaction) {
        this.#report.moved++
        this.#moved++
        await this.#one.query('ROLLBACK')
        return
      }
      const expected = await ask(this.#one, sql, false)
      this.#recent.push(sql)
      await this.#found(tallyOf(this.#report.writes, 'transaction'), sql, 'text', compareWrites(expected, got))
    }
    await both(dice.pick(['BEGIN', 'START TRANSACTION', 'SET autocommit = 0']))
    this.#inTransaction = true
    let count = 0
    const movedBefore = this.#moved
    // What came after a switch rolled the transaction back would stand outside of one, on one side only.
    for (let steps = 1 + dice.below(4); steps > 0 && this.#moved === movedBefore; steps--, count++) {
      if (dice.chance(0.3)) {
        await both('SAVEPOINT here')
        await this.#write()
        if (dice.chance(0.5) && this.#moved === movedBefore) await both('ROLLBACK TO SAVEPOINT here')
      } else if (dice.chance(0.6)) await this.#write()
      else await this.#select()
    }
    // A transaction that a switch rolled back is rolled back on the other side too.
    await both(this.#moved > movedBefore ? 'ROLLBACK' : dice.pick(['COMMIT', 'COMMIT', 'ROLLBACK']))
    await both('SET autocommit = 1')
    this.#inTransaction = false
    return count
  }

  /** One whose answer would not fit here, twice, is asked how many rows it has instead. */
  async #fitting(asked: Asked): Promise<Asked> {
    if (asked.count === null) return asked
    const counted = await ask(this.#one, asked.count, false)
    const [row] = counted.kind === 'answer' && counted.result.kind === 'rows' ? counted.result.rows : []
    return Number(row?.[0]?.toString() ?? 0) <= rowsMax ? asked : { ...asked, sql: asked.count, ordered: false, folded: [], lists: [] }
  }

  async #select(): Promise<void> {
    const asked = await this.#fitting(this.#selects.next())
    const prepared = this.#dice.chance(weights.prepared)
    const tally = tallyOf(this.#report.selects, asked.category)
    tally.asked++
    for (const tag of new Set([...asked.tags, ...(subqueryTags.some((tag) => asked.tags.has(tag)) ? ['any-subquery'] : [])]))
      this.#report.tags.set(tag, (this.#report.tags.get(tag) ?? 0) + 1)
    const [expected, got] = await Promise.all([ask(this.#one, asked.sql, prepared), ask(this.#four, asked.sql, prepared)])
    // Before refusals: the transaction is over, and what follows would stand outside of one, on one side only.
    if (got.kind === 'error' && got.errno === 1213 && this.#inTransaction) {
      this.#report.moved++
      this.#moved++
      return
    }
    if (got.kind === 'error' && got.code !== null && this.#refused(tally, asked.category, asked.sql, expected.kind === 'error', got)) return
    if (expected.kind === 'error') tally.bothRefuse++
    await this.#found(tally, asked.sql, prepared ? 'prepared' : 'text', compareRows({ ...asked, text: !prepared }, expected, got))
  }

  /** False when what follows could not be compared any more. */
  async #write(): Promise<boolean> {
    const { sql: marked, category } = this.#writes.next()
    const prepared = this.#dice.chance(weights.prepared)
    const tally = tallyOf(this.#report.writes, category)
    tally.asked++
    const got = await ask(this.#four, marked, prepared)
    if (got.kind === 'error' && got.errno === 1213 && this.#inTransaction) {
      this.#report.moved++
      this.#moved++
      return true
    }
    if (got.kind === 'error' && got.code !== null) {
      await this.#one.query(this.#inTransaction ? 'SAVEPOINT probe' : 'BEGIN')
      const expected = await ask(this.#one, marked, prepared)
      await this.#one.query(this.#inTransaction ? 'ROLLBACK TO SAVEPOINT probe' : 'ROLLBACK')
      if (this.#refused(tally, category, marked, expected.kind === 'error', got)) return true
    }
    const expected = await ask(this.#one, marked, prepared)
    this.#recent.push(asText(marked))
    if (this.#recent.length > checkEvery.writes + 20) this.#recent.shift()
    if (expected.kind === 'error') tally.bothRefuse++
    else if (expected.result.kind === 'ok') this.#rowsWritten += Number(expected.result.affectedRows)
    return this.#found(tally, marked, prepared ? 'prepared' : 'text', compareWrites(expected, got))
  }

  #refused(tally: Tally, category: string, marked: string, both: boolean, got: Extract<Answer, { kind: 'error' }>): boolean {
    if (both) {
      tally.bothRefuse++
      return true
    }
    tally.refused++
    const key = `${category}: ${got.message.slice(0, 110)}`
    const known = this.#report.refusals.get(key) ?? { count: 0, examples: [] }
    this.#report.refusals.set(key, known)
    known.count++
    if (known.examples.length < 3) known.examples.push(asText(marked))
    return true
  }

  async #found(tally: Tally, marked: string, form: string, difference: Difference | null): Promise<boolean> {
    if (difference === null) return true
    const { bySort, differences } = this.#report
    bySort.set(difference.what, (bySort.get(difference.what) ?? 0) + 1)
    const hard = difference.what !== 'metadata' && difference.what !== 'warnings'
    if (hard) {
      tally.wrong++
      this.#report.wrong++
    } else this.#report.soft++
    if (difference.what === 'warnings') {
      const sort = await warningSort(this.#one, this.#four)
      const known = this.#report.warnings.get(sort) ?? { count: 0, example: asText(marked) }
      this.#report.warnings.set(sort, { ...known, count: known.count + 1 })
    }
    differences.push({ client: this.#number, sql: asText(marked), form, difference })
    return true
  }

  async #tablesAgree(): Promise<boolean> {
    const cuts: string[] = []
    for (const table of this.#schema.tables) {
      const sql = `SELECT * FROM ${table.name}`
      const there = await rowsOf(this.#one, sql)
      const ids = there.map((row) => Number(row[table.columns.findIndex(({ name }) => name === 'id')]))
      // What is ordered by ids would have no one order.
      if (new Set(ids).size < ids.length) this.#report.failures.push(`the generator gave an id of ${table.name} twice`)
      cuts.push(...cutOf(table.name, ids))
      const expected = there.map(printAll).toSorted()
      const parts = await Promise.all((this.#shards ?? [this.#four]).map(async (shard) => (await rowsOf(shard, sql)).map(printAll)))
      const sides = table.sharding === 'reference' ? parts : [parts.flat()]
      for (const side of sides) {
        const got = side.toSorted()
        if (got.join('\n') === expected.join('\n')) continue
        const missing = expected.filter((row) => !got.includes(row))
        const extra = got.filter((row) => !expected.includes(row))
        this.#report.wrong++
        this.#report.differences.push({
          client: this.#number,
          sql: `rows of ${table.name} after:\n    ${this.#recent.join('\n    ')}`,
          form: 'tables',
          difference: { what: 'values', detail: `missing ${missing.slice(0, 3).join(' // ')}\n  extra ${extra.slice(0, 3).join(' // ')}` },
        })
        return false
      }
    }
    this.#recent = []
    this.#rowsWritten = 0
    for (const sql of cuts) {
      const got = await ask(this.#four, sql, false)
      await this.#found(tallyOf(this.#report.writes, 'cut'), sql, 'text', compareWrites(await ask(this.#one, sql, false), got))
      this.#recent.push(sql)
    }
    const missing = await missingInLookup(this.#schema.prefix, this.#shards ?? [])
    if (missing.length === 0) return true
    this.#report.wrong++
    const difference = { what: 'values', detail: `without a row in its lookup: ${missing.slice(0, 5).join(' // ')}` } as const
    this.#report.differences.push({ client: this.#number, sql: 'rows of c', form: 'tables', difference })
    return false
  }
}
