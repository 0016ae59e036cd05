/**
 * Tables of the source made on a target, from the source's own SHOW CREATE TABLE: without AUTO_INCREMENT (ids come from a sequence, the
 * source is not altered), secondary keys of empty tables left for after the copy (PROTOCOLS 1.12), views after tables.
 *
 * Repeatable: what is there is left as it is. The deferred keys are stored before the table is made without them, so a crash in
 * between finds them there by their names and builds the rest, never not at all.
 */
import type { SwError } from '../base/errors.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { switchForeignKeyChecks } from '../mysql/foreign-key-checks.ts'
import { fenceTriggerPrefix } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { parseTableDefinition, printTableDefinition, type KeyElement, type TableDefinition } from '../sql/table-definition.ts'
import { alterStatements } from '../sql/table-difference.ts'
import { addKeysStatements, deferSecondaryKeys, keysOf, primaryKeyOf, withoutAutoIncrement } from '../sql/table-edits.ts'
import { translateDefinition } from '../sql/flavour-translation.ts'
import { noFailpoints, type Failpoints } from './crash-points.ts'
import { crossFlavourFindings } from './cross-flavour.ts'
import { concerns, drops, type KeysConcerned } from './ddl-keys.ts'
import { moveErrors } from './errors.ts'
import { lookOf, noteBeingMade, noteMadeOf, readMadeOf, showCreateTable } from './made-of.ts'
import { withoutCounter } from './table-look.ts'
import { columnMisfit } from './target-columns.ts'
import { periodKey } from './period-keys.ts'
import { ensureMoveTables, moveSchema } from './tables.ts'
import { trueDefinition } from './true-definition.ts'
import { uniqueKeyFindings, uniqueKeys, type UniqueKey } from './unique-keys.ts'

export type SchemaCopyOptions = {
  source: { conn: Connection; schema: string }
  target: { conn: Connection; schema: string; uid: string; name: string }
  workflowUid: string
  tables: readonly string[]
  deferSecondaryKeys: boolean
  /** No stream will fill them: nothing is noted of what they were made of. */
  unfollowed?: true
}

/** Makes the tables that are missing on the target; returns their names. The schema must exist. */
export async function createTargetTables(options: SchemaCopyOptions): Promise<string[]> {
  const { source, target, workflowUid } = options
  if (options.unfollowed !== true) await ensureMoveTables(target.conn)
  const existing = new Set(await tableNames(target.conn, target.schema))
  const [finding] = await crossFlavourFindings(
    source.conn,
    source.schema,
    options.tables.filter((table) => !existing.has(table)),
    target.conn,
  )
  if (finding !== undefined) throw finding
  const [misfit] = await existingTableFindings(source, target, options.tables)
  if (misfit !== undefined) throw misfit
  const made: string[] = []
  const referenced = await referencedTables(source.conn, source.schema)
  // Tables come in the order of their names, not of their foreign keys.
  const setBack = await switchForeignKeyChecks(target.conn, 0)
  for (const table of options.tables) {
    if (existing.has(table)) continue
    const text = await trueDefinition(source.conn, source.schema, table)
    const unwritable = options.unfollowed === true ? null : periodKey(parseTableDefinition(text))
    if (unwritable !== null) throw moveErrors.keyOfPeriod({ table, key: unwritable })
    const { definition, deferred } = definitionFor(options, text, uniqueToo(referenced, table))
    // Not once the table is there: a mover that was paused here would bring back keys of long ago.
    const absent = `NOT EXISTS (SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(target.schema)} AND TABLE_NAME = ${quoteString(table)})`
    if (deferred.length > 0) await target.conn.query(deferredSql({ targetUid: target.uid, table, workflowUid }, deferred, absent))
    if (options.unfollowed !== true) await noteBeingMade(options, table, text, absent)
    await target.conn.useDatabase(target.schema)
    try {
      await target.conn.query(printTableDefinition(definition, quoteIdentifier(table)))
      if (options.unfollowed !== true) await noteMadeOf(options, table, text)
      made.push(table)
    } catch (error) {
      // Another stream of the workflow made it meanwhile.
      if (!isServerError(error, errno.tableExists)) throw error
    }
  }
  await setBack()
  return made
}

/** What a target's table is made by, and the keys that wait. */
function definitionFor(
  { source, target, deferSecondaryKeys: defers }: Pick<SchemaCopyOptions, 'source' | 'target' | 'deferSecondaryKeys'>,
  text: string,
  unique: 'kept' | 'too',
): { definition: TableDefinition; deferred: readonly KeyElement[] } {
  const definition = translateDefinition(withoutAutoIncrement(parseTableDefinition(text)), source.conn.flavour, target.conn.flavour)
  return defers ? deferSecondaryKeys(definition, unique) : { definition, deferred: [] }
}

/**
 * Tables that were made for a stream which has not begun, while the source was altered: no binlog that it reads will tell. Each is brought to what the source has now, if it is as it was made and holds
 * nothing. By ALTER, so that triggers of a fence stay where they are. What can't be made so stays: it is looked at when the stream begins.
 * Begun and not ended, it is gone on with from what the table is by then.
 *
 * The caller sees to it that no stream writes to the target.
 * @throws notRenewed: foreign keys are looked at by nobody else
 */
export async function renewUnusedTables(options: SchemaCopyOptions): Promise<void> {
  const { source, target, workflowUid } = options
  const notes = await readMadeOf(target.conn, target.uid)
  if (notes.size === 0) return
  // One that was dropped is made anew.
  const there = new Set(await tableNames(target.conn, target.schema))
  const referenced = await referencedTables(source.conn, source.schema)
  const setBack = await switchForeignKeyChecks(target.conn, 0)
  for (const table of options.tables) {
    const note = notes.get(table)
    if (note === undefined || !there.has(table)) continue
    const now = withoutCounter(await trueDefinition(source.conn, source.schema, table))
    const isHalf = note.look === ''
    if (now === note.source && !isHalf) continue
    const quoted = quoteQualified(target.schema, table)
    const before = definitionFor(options, note.source, uniqueToo(referenced, table))
    const after = definitionFor(options, now, uniqueToo(referenced, table))
    // Also where somebody has altered the table by hand: none of the keys that it had may be left to build.
    if (options.deferSecondaryKeys)
      await target.conn.query(deferredSql({ targetUid: target.uid, table, workflowUid }, after.deferred, 'TRUE'))
    const shown = await showCreateTable(target.conn, target.schema, table)
    if (!isHalf && lookOf(shown) !== note.look) continue
    if ((await target.conn.value(`SELECT 1 FROM ${quoted} LIMIT 1`)) === '1') continue
    const from = isHalf ? withOthersOf(parseTableDefinition(shown), before.definition) : before.definition
    const statements = alterStatements(quoted, from, after.definition)
    const refuse = (reason: string): Error => moveErrors.notRenewed({ table, target: target.name, reason })
    if (statements === null && isHalf) throw refuse('its options or CHECK constraints were altered too')
    if (statements === null) continue
    await noteBeingMade(options, table, note.source)
    try {
      for (const statement of statements) await target.conn.query(statement)
    } catch (error) {
      if (!isServerError(error) || error.kind === 'lockWait') throw error
      throw refuse(error.serverMessage)
    }
    await noteMadeOf(options, table, now)
  }
  await setBack()
}

/** No ALTER of ours is about the others, nor about options, which servers of another flavour print otherwise. */
function withOthersOf(standing: TableDefinition, made: TableDefinition): TableDefinition {
  const ours = standing.elements.filter(({ kind }) => kind !== 'other')
  const others = made.elements.filter(({ kind }) => kind === 'other')
  return { ...standing, options: made.options, elements: [...ours, ...others] }
}

/**
 * Unique keys may wait: at a round's boundary a target holds for each key copied or touched exactly the source's row, so they are met when the copy is done and,
 * with several sources, when the streams have come to points that agree (`exclusion.ts`). Should that not be so, the rebuild says it, where REPLACE would
 * have removed a row in silence. In a merge they also cost most while rows land: landings of several streams wait for each other on them, and deadlock.
 */
function uniqueToo(referenced: ReadonlySet<string>, table: string): 'kept' | 'too' {
  return referenced.has(table) ? 'kept' : 'too'
}

/**
 * Tables that a foreign key refers to. What foreign keys need is not deferred, on both ends: the index of the columns that refer, the unique key that is referred to. InnoDB makes an index of its own where the first is
 * missing, so nothing is won while the foreign keys stand; what it costs, and what leans on their standing, is in docs/decisions/032.
 */
async function referencedTables(conn: Connection, schema: string): Promise<ReadonlySet<string>> {
  const rows = await conn.allText(
    `SELECT DISTINCT REFERENCED_TABLE_NAME AS name FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ${quoteString(schema)}`,
  )
  return new Set(rows.map(({ name }) => name ?? ''))
}

function deferredSql(
  of: { targetUid: string; table: string; workflowUid: string },
  deferred: readonly { readonly text: string }[],
  condition: string,
): string {
  const values = [of.targetUid, of.table, of.workflowUid, JSON.stringify(deferred.map((key) => key.text))]
  return `REPLACE INTO ${moveSchema}.move_key (target_uid, table_name, workflow_uid, clauses) SELECT ${values.map(quoteString).join(', ')} FROM DUAL WHERE ${condition}`
}

/**
 * After DDL in the middle of a copy that somebody else makes on the targets (`--on-ddl ignore`): what was deferred of the table is what the source has now. The statement
 * that stores it; null where nothing is deferred.
 */
export async function renewedKeysSql(
  source: { conn: Connection; schema: string },
  target: { conn: Connection; uid: string },
  workflowUid: string,
  table: string,
): Promise<string | null> {
  if (!(await deferredTables(target.conn, target.uid)).has(table)) return null
  const text = await showCreateTable(source.conn, source.schema, table)
  const { deferred } = deferSecondaryKeys(parseTableDefinition(text), uniqueToo(await referencedTables(source.conn, source.schema), table))
  return deferredSql({ targetUid: target.uid, table, workflowUid }, deferred, 'TRUE')
}

/** Tables of a target whose keys wait. */
async function deferredTables(conn: Connection, targetUid: string): Promise<ReadonlySet<string>> {
  const rows = await conn.allText(`SELECT table_name AS name FROM ${moveSchema}.move_key WHERE target_uid = ${quoteString(targetUid)}`)
  return new Set(rows.map(({ name }) => name ?? ''))
}

/**
 * Builds what was deferred on a target, one ALTER a table. The caller has stopped all writers of the target. Returns what a unique key met two rows of one value
 * by, as the server tells it: that table is left as it is, to be built later; null when all is built.
 *
 * @param of only what was deferred of this table
 * @param keys of it only those that a statement is about, which comes next; the others go on waiting
 */
export async function rebuildKeys(
  conn: Connection,
  schema: string,
  targetUid: string,
  { failpoints = noFailpoints, of, keys = 'any' }: { failpoints?: Failpoints; of?: string; keys?: KeysConcerned } = {},
): Promise<string | null> {
  const rows = await conn.allText(`SELECT table_name, clauses FROM ${moveSchema}.move_key WHERE target_uid = ${quoteString(targetUid)}`)
  let duplicate: string | null = null
  for (const sql of rows.length === 0 ? [] : flavourOf(conn).keyBuildSql) await conn.query(sql)
  for (const row of rows) {
    const table = row.table_name ?? ''
    if (of !== undefined && of.toLowerCase() !== table.toLowerCase()) continue
    const stored = row.clauses ?? '[]'
    const clauses = JSON.parse(stored) as string[]
    const quoted = quoteQualified(schema, table)
    const waiting =
      clauses.length === 0
        ? []
        : keysOf(parseTableDefinition(`CREATE TABLE ${quoteIdentifier(table)} (\n  \`x\` int,\n  ${clauses.join(',\n  ')}\n)`))
    const now = waiting.filter(({ name }) => concerns(keys, name))
    const later = waiting.filter((key) => !now.includes(key))
    if (now.length === 0 && later.length > 0) continue
    try {
      await addMissingKeys(conn, quoted, now, ({ name }) => drops(keys, name))
    } catch (error) {
      if (!isServerError(error) || error.kind !== 'duplicate') throw error
      duplicate = `a unique key of ${table} can not be built yet: ${error.serverMessage}`
      continue
    }
    await failpoints.hit('keys.built')
    const where = `target_uid = ${quoteString(targetUid)} AND table_name = ${quoteString(table)}`
    await conn.query(
      later.length === 0
        ? `DELETE FROM ${moveSchema}.move_key WHERE ${where}`
        : `UPDATE ${moveSchema}.move_key SET clauses = ${quoteString(JSON.stringify(later.map(({ text }) => text)))} WHERE ${where} AND clauses = ${quoteString(stored)}`,
    )
  }
  return duplicate
}

/**
 * An ALTER whose client has gone goes on in the server: the table looks as if it had not been, ours waits for it, and then meets its keys (1061). What it has built is looked for
 * again, and the rest is built.
 *
 * A unique key that `goes` by the statement for which it is built may meet two rows of one value, and this stream may be the one that gives its row up, behind the statement. For what drops it its name
 * is enough: there it says what the primary key says, which no row can be in the way of.
 */
async function addMissingKeys(
  conn: Connection,
  quoted: string,
  keys: readonly KeyElement[],
  goes: (key: KeyElement) => boolean,
): Promise<void> {
  let made: 'as they are' | 'by a stand-in' = 'as they are'
  for (let before = -1; ;) {
    const [row] = await conn.allText(`SHOW CREATE TABLE ${quoted}`)
    const standing = parseTableDefinition(row?.['Create Table'] ?? '')
    const present = new Set(keysOf(standing).map((key) => key.name))
    const missing = keys.filter((key) => !present.has(key.name))
    const texts = missing.map((key) => (made === 'by a stand-in' && key.type === 'unique' && goes(key) ? standIn(key, standing) : key))
    try {
      for (const statement of addKeysStatements(quoted, texts)) await conn.query(statement)
      return
    } catch (error) {
      if (!isServerError(error)) throw error
      if (error.kind === 'duplicate' && made === 'as they are' && missing.some(goes)) made = 'by a stand-in'
      else if (error.errno === errno.duplicateKeyName && missing.length !== before) before = missing.length
      else throw error
    }
  }
}

/** Unique, since DROP CONSTRAINT finds no other. */
function standIn(key: KeyElement, standing: TableDefinition): KeyElement {
  const primary = primaryKeyOf(standing)
  return primary === null ? key : { ...key, text: primary.text.replace(/^PRIMARY KEY/, () => `UNIQUE KEY ${quoteIdentifier(key.name)}`) }
}

/** Tables that stand on a target already and do not hold what the source's do, or not all of it (PROTOCOLS 1.12, 1.5): they are taken as they are, so they must. */
export async function existingTableFindings(
  source: { conn: Connection; schema: string },
  target: { conn: Connection; schema: string; name: string },
  tables: readonly string[],
): Promise<SwError[]> {
  const there = await readTableDefinitions(target.conn, target.schema)
  const standing = tables.filter((table) => there.has(table))
  if (standing.length === 0) return []
  const here = await readTableDefinitions(source.conn, source.schema)
  const [held, asked] = [await uniqueKeys(source.conn, source.schema), await uniqueKeys(target.conn, target.schema)]
  const found: SwError[] = []
  for (const table of standing) {
    const keys = (of: typeof held): readonly UniqueKey[] => of.get(table) ?? []
    found.push(...misfits(table, here.get(table) ?? [], there.get(table) ?? [], target.name))
    found.push(...(await uniqueKeyFindings(table, { ...source, keys: keys(held) }, { ...target, keys: keys(asked) })))
  }
  return found
}

/** Columns of both sides by which rows would come to a target as others; those that it lacks are told otherwise. */
export function misfits(table: string, source: readonly ColumnDefinition[], target: readonly ColumnDefinition[], name: string): SwError[] {
  const there = new Map(target.map((column) => [column.name.toLowerCase(), column]))
  return source.flatMap((column) => {
    const other = there.get(column.name.toLowerCase())
    const reason = other === undefined ? null : columnMisfit(column, other)
    return reason === null ? [] : [moveErrors.targetColumnDiffers({ column: column.name, table, target: name, reason })]
  })
}

/** @throws userTriggers: a side that follows has none (PROTOCOLS 1.11) */
export async function refuseTriggers(conn: Connection, schema: string, name: string, tables: readonly string[]): Promise<void> {
  const rows = await conn.allText(
    `SELECT EVENT_OBJECT_TABLE AS t, GROUP_CONCAT(TRIGGER_NAME) AS triggers FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ${quoteString(schema)} AND LEFT(TRIGGER_NAME, ${fenceTriggerPrefix.length}) <> '${fenceTriggerPrefix}' GROUP BY EVENT_OBJECT_TABLE`,
  )
  const hit = rows.find((row) => tables.includes(row.t ?? ''))
  if (hit !== undefined) throw moveErrors.userTriggers({ target: name, table: hit.t, triggers: hit.triggers })
}

export async function tableNames(conn: Connection, schema: string): Promise<string[]> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(schema)} AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME`,
  )
  return rows.map((row) => row.name ?? '')
}
