/**
 * Which groups of a binlog changed tables of ours and are nobody's we know: they carry no position row of a fleet, no mark of its purge and no
 * applier row of a stream (PROTOCOLS 1.8, 4.4), which stand in the same transaction as the rows whoever of us writes.
 */
import { controlSchema } from '../binlog/control-schema.ts'
import type { QueryEvent, TableChoice, TailEvent } from '../binlog/source.ts'

const marks = new Set(['ingest_position', 'ingest_mark', 'move_applier'])
const takesRows = new Set(['TRUNCATE TABLE', 'DROP TABLE', 'RENAME TABLE'])
const tablesMax = 20

export class ForeignGroups {
  readonly #schemas: ReadonlySet<string>
  /** Tables that others may write. */
  readonly #free: ReadonlySet<string>
  readonly #otherSchemas = new Set<string>()
  #group = { name: '', marked: false, tables: new Set<string>() }
  readonly tables = new Set<string>()
  /** Schemas of others that the same transactions wrote. */
  readonly alsoWrote = new Set<string>()
  transactions = 0
  /** GTID and coordinates. */
  first = ''

  constructor(schemas: readonly string[], free: readonly string[] = []) {
    this.#schemas = new Set(schemas)
    this.#free = new Set(free)
  }

  /** Names are enough, whatever ALTER makes of the columns. */
  static table(this: void, schema: string, name: string): TableChoice {
    return { kind: schema === controlSchema && !marks.has(name) ? 'skip' : 'name' }
  }

  /** True: a foreign group has just ended. */
  take(event: TailEvent): boolean {
    const group = this.#group
    switch (event.kind) {
      case 'begin':
        this.#otherSchemas.clear()
        this.#group = { name: `${event.gtid} at ${event.at.file}:${event.at.offset}`, marked: false, tables: new Set() }
        return false
      case 'rows': {
        const { schema, name } = event.table
        if (schema === controlSchema) group.marked = true
        else if (!this.#schemas.has(schema)) this.#otherSchemas.add(schema)
        else if (!this.#free.has(name)) this.#add(`${schema}.${name}`)
        return false
      }
      case 'query':
        if (this.#touches(event)) this.#add(event.text.toString('utf8').slice(0, 160))
        return false
      case 'commit':
      case 'xaPrepare':
        return !group.marked && group.tables.size > 0 && this.#count()
      default:
        return false
    }
  }

  #add(what: string): void {
    if (this.#group.tables.size < tablesMax) this.#group.tables.add(what)
  }

  /** A statement in place of rows; or one that takes rows away whole, which nobody of us does (purge drops partitions). */
  #touches({ statement, schema: from, text }: QueryEvent): boolean {
    if (statement.kind === 'other') return this.#schemas.has(from) || [...this.#schemas].some((schema) => text.includes(schema))
    if (statement.kind !== 'ddl' || !takesRows.has(`${statement.verb} ${statement.object}`.toUpperCase())) return false
    return statement.objects.some(({ schema, name }) => this.#schemas.has(schema ?? from) && !this.#free.has(name))
  }

  #count(): true {
    const { name, tables } = this.#group
    this.transactions++
    if (this.first === '') this.first = name
    for (const one of tables) if (this.tables.size < tablesMax) this.tables.add(one)
    for (const one of this.#otherSchemas) if (this.alsoWrote.size < tablesMax) this.alsoWrote.add(one)
    return true
  }
}
