/**
 * Rows that foreign keys changed and no event tells (PROTOCOLS 1.11), noticed at the row that they refer to.
 *
 * MySQL from 9.6 on follows foreign keys itself, and logs the rows that it changes so; but not for a connection that was reset (COM_RESET_CONNECTION, COM_CHANGE_USER: connection pools and
 * proxies do it), nor, as a replica, for what an older source logged (*tried*, 9.7.4). There the engine does it, below the binlog, as in every version before and in MariaDB. No variable tells it of a connection; the flags of its rows events
 * do (`RowsEvent.engineCascades`).
 *
 * Why none is passed over: rows are changed so only by a DELETE of the row that they refer to or an UPDATE of the columns that they refer to. That has an event of its own in the same transaction, or is such a change itself (`cascadingKeys`). Which foreign
 * keys there were when it was logged is stored with the definitions (`definitions.ts`); those that the source has now count too: a stop in vain, at worst, and no row lost.
 */
import type { RowsEvent, TailTable } from '../binlog/source.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { Compiled } from './compiled-tables.ts'
import { moveErrors } from './errors.ts'
import { hiddenActions } from './unfollowed.ts'

/** A foreign key of `table` that changes its rows of its own accord: what it does on DELETE and on UPDATE of these columns of the other table; null: nothing. */
export type CascadingKey = {
  readonly name: string
  readonly table: string
  /** Null: that of the table. */
  readonly referencedSchema: string | null
  readonly referenced: string
  readonly columns: readonly string[]
  readonly onDelete: string | null
  readonly onUpdate: string | null
}

/**
 * By table: the keys by which its rows may change. Those of its own, and of the tables that these refer to, and so on: rows that one hidden change changes next have no event of their own, and only the first row of all has.
 * Of moved tables the next key counts too, so it matters where those in between are not moved: by this stream (reference tables come from one source only), or at all.
 */
export async function cascadingKeys(conn: Connection, schema: string): Promise<ReadonlyMap<string, readonly CascadingKey[]>> {
  const actions = hiddenActions.map(quoteString).join(', ')
  const rows = await conn.allText(
    `SELECT r.TABLE_NAME AS t, r.CONSTRAINT_NAME AS name, r.DELETE_RULE AS on_delete, r.UPDATE_RULE AS on_update,
       k.REFERENCED_TABLE_SCHEMA AS rs, k.REFERENCED_TABLE_NAME AS rt, k.REFERENCED_COLUMN_NAME AS c
     FROM information_schema.REFERENTIAL_CONSTRAINTS r
     JOIN information_schema.KEY_COLUMN_USAGE k ON k.TABLE_SCHEMA = r.CONSTRAINT_SCHEMA AND k.TABLE_NAME = r.TABLE_NAME
       AND k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME
     WHERE r.CONSTRAINT_SCHEMA = ${quoteString(schema)} AND (r.DELETE_RULE IN (${actions}) OR r.UPDATE_RULE IN (${actions}))
     ORDER BY r.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION`,
  )
  const hidden = (rule: string | null | undefined): string | null => (hiddenActions.includes(rule ?? '') ? (rule ?? null) : null)
  const keys = [...Map.groupBy(rows, ({ t, name }) => `${t}.${name}`).values()].map((parts): CascadingKey => {
    const [first] = parts
    return {
      name: first?.name ?? '',
      table: first?.t ?? '',
      referencedSchema: first?.rs === schema ? null : (first?.rs ?? null),
      referenced: first?.rt ?? '',
      columns: parts.map(({ c }) => c ?? ''),
      onDelete: hidden(first?.on_delete),
      onUpdate: hidden(first?.on_update),
    }
  })
  const own = Map.groupBy(keys, ({ table }) => table.toLowerCase())
  return new Map(keys.map(({ table }) => [table, waysTo(table, own)]))
}

function waysTo(table: string, own: ReadonlyMap<string, readonly CascadingKey[]>): CascadingKey[] {
  const tables = new Set([table.toLowerCase()])
  const ways: CascadingKey[] = []
  // What is added is come to as well.
  for (const name of tables) {
    for (const key of own.get(name) ?? []) {
      ways.push(key)
      if (key.referencedSchema === null) tables.add(key.referenced.toLowerCase())
    }
  }
  return ways
}

/** Of one table: those known, and those of now. */
export function bothCascades(known: readonly CascadingKey[] | undefined, now: readonly CascadingKey[] | undefined): CascadingKey[] {
  const all = [...(known ?? []), ...(now ?? [])]
  return [...new Map(all.map((key) => [JSON.stringify(key), key])).values()]
}

export class HiddenCascades {
  /** By the table that they refer to, in small letters: a server may keep names either way. */
  readonly #keys: ReadonlyMap<string, readonly CascadingKey[]>
  readonly #of = new WeakMap<TailTable, readonly CascadingKey[]>()

  /** `schema`: the source's. */
  constructor(schema: string, keys: Iterable<CascadingKey>) {
    this.#keys = Map.groupBy(keys, (key) => nameOf(key.referencedSchema ?? schema, key.referenced))
  }

  /** Whether rows of a table, perhaps of one that is not moved, may have others changed. */
  refersTo(schema: string, table: string): boolean {
    return this.#keys.size > 0 && this.#keys.has(nameOf(schema, table))
  }

  /**
   * `compiled`: 'skip' of a table that is not moved, of whose rows nothing is known. `where`: for the message.
   * @throws hiddenCascade rows may have been changed that no event tells
   */
  refuse(event: RowsEvent, compiled: Compiled | 'skip', where: () => { source: string; at: string }): void {
    const found = this.#behind(event, compiled)
    if (found === null) return
    const { key, action } = found
    throw moveErrors.hiddenCascade({ ...where(), table: event.table.name, child: key.table, key: key.name, action })
  }

  #behind(event: RowsEvent, compiled: Compiled | 'skip'): { key: CascadingKey; action: string } | null {
    if (!event.engineCascades || event.change === 'insert' || this.#keys.size === 0) return null
    for (const key of this.#keysOf(event.table)) {
      if (event.change === 'delete' && key.onDelete !== null) return { key, action: `ON DELETE ${key.onDelete}` }
      if (event.change === 'update' && key.onUpdate !== null && !leaves(event, key, compiled))
        return { key, action: `ON UPDATE ${key.onUpdate}` }
    }
    return null
  }

  #keysOf(table: TailTable): readonly CascadingKey[] {
    let keys = this.#of.get(table)
    if (keys === undefined) {
      keys = this.#keys.get(nameOf(table.schema, table.name)) ?? []
      this.#of.set(table, keys)
    }
    return keys
  }
}

function nameOf(schema: string, table: string): string {
  return `${schema}.${table}`.toLowerCase()
}

/** Whether an UPDATE left, of each row, all columns as they were to which the key refers. */
function leaves({ before, after, length }: RowsEvent, { columns }: CascadingKey, compiled: Compiled | 'skip'): boolean {
  if (compiled === 'skip' || before === null || after === null) return false
  const { encoder, plan } = compiled
  return columns.every((name) => {
    const index = plan.columns.findIndex(({ definition }) => definition.name.toLowerCase() === name.toLowerCase())
    if (index < 0) return false
    for (let row = 0; row < length; row++) if (!encoder.sameCell(before, after, row, index)) return false
    return true
  })
}
