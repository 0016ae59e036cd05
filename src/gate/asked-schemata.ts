/** Which keyspace a question to information_schema is about, and its text for that one's server (schemata.ts). */
import { ServerError } from '../mysql/errors.ts'
import { inRoleOf } from '../topology/replica-name.ts'
import type { Access } from './access.ts'
import { fromOrigins, ofInformationSchema, type DefinitionChange } from './column-definitions.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { needsOf } from './needs.ts'
import { refusedQuestion } from './of-connections.ts'
import { onServer } from './on-server.ts'
import type { Relay } from './passthrough.ts'
import type { Runner } from './runner.ts'
import { databaseOf } from './schema-names.ts'
import { listedSessions } from './listed-sessions.ts'
import { namedIn, readsProcesslist, readsRows, toldSchemata, type ServerColumns } from './schemata.ts'
import { isOfDiagnostics, withValues, type SessionValues } from './session-calls.ts'
import { parsed, wordAt } from './statement-names.ts'
import { lexStatement, modeOf } from './statement-text.ts'
import { Words } from './statement-words.ts'
import type { KeyspaceView } from './view.ts'

/** A server that was upgraded in place has others. */
const columnsMaxAgeMs = 60_000
const columnsKeptMax = 1_000

export type Asked = {
  readonly sql: Buffer
  /** Null: the session's own. */
  readonly keyspace: string | null
  /** As a database; null: none is shown. */
  readonly shown: string | null
  /** Names of schemas may come in these. */
  readonly parameters: readonly number[]
  /** What its columns are said to be from, as the statement was told otherwise; null: what the server says. */
  readonly origins: DefinitionChange | null
}

type Asking = {
  readonly core: Core
  readonly runner: Runner
  readonly access: Pick<Access, 'restricted' | 'maySee'>
  readonly values: SessionValues
  /** What is another value at each execution is left to those who refuse it. */
  readonly isPrepared: boolean
}

/** Null: it goes as it is. Errors: SW-GATE-012 it is about several keyspaces, or can't be read. */
export async function askedSchemata(
  { core, runner, access, values, isPrepared }: Asking,
  relay: Relay,
  sql: Buffer,
  signal: AbortSignal,
): Promise<Asked | null> {
  const mode = modeOf(runner.settings)
  const session = values.keyspace
  const own = databaseOf({ keyspace: session })
  const visible = (name: string): boolean => isShown(core, access, name)
  const needs = needsOf(() => lexStatement(sql, mode), relay)
  const calls = relay.sessionCalls.filter((call) => !isOfDiagnostics(call) && !(isPrepared && call.what === 'row-count'))
  const known = { ...values, keyspace: own }
  const text = calls.length === 0 ? sql : withValues(Buffer.from(sql), lexStatement(sql, mode), calls, known)
  const lexed = lexStatement(text, mode)
  const statement = parsed(lexed)
  if (statement === null || !readsRows(statement)) {
    if (showing.has(wordAt(lexed, 0))) return null
    const question = refusedQuestion(new Words(lexed), lexed, true)
    if (question !== null) throw gateErrors.notForwarded(question)
    requireAlike(core, access, session)
    return null
  }
  const listing = readsProcesslist(statement)
  if (listing && isPrepared)
    throw gateErrors.notForwarded({
      construct: 'information_schema.processlist in a prepared statement',
      reason: "its rows are the gate's sessions, which are others at each execution",
      fix: 'send it as text',
    })
  const { texts, parameters, ofOne } = namedIn(statement, lexed)
  const named = new Set([...texts, ...needs.schemas].filter((name) => (name === own && own !== '') || visible(name)))
  if ((needs.bare !== false || !ofOne) && own !== '') named.add(own)
  const [first, second] = named
  if (second !== undefined)
    throw gateErrors.notForwarded({
      construct: `a question to information_schema about the keyspaces ${first} and ${second}`,
      reason: 'they may stand on different servers',
      fix: 'ask about one after the other',
    })
  const shown = first ?? (own === '' ? null : own)
  const target = shown === null ? (core.anyKeyspace()?.name ?? '') : shown === own ? session : inRoleOf(shown, session)
  if (target === '') throw gateErrors.noKeyspace()
  const columns = await serverColumns(core, runner, core.keyspace(target), signal)
  // Others have used the lexer meanwhile.
  const again = lexStatement(text, mode)
  const all = [...core.watch.view.keyspaces.keys()].filter(visible)
  const sessions = listing ? listedSessions(core, access.restricted ? values.user : null) : []
  const told = toldSchemata(parsed(again) ?? statement, again, columns, { shown, all, mariadb: core.isMariadb, sessions })
  if (told === null && calls.length === 0 && shown === own) return null
  const isElsewhere = target !== session && needs.schemas.length === 0
  // What EXPLAIN answers has columns of its own, and a write none of these.
  const origins = told === null || statement.kind !== 'query' ? null : await originsOf(core, runner, target, text, signal)
  return { sql: told ?? text, keyspace: isElsewhere ? target : null, shown, parameters, origins }
}

/** They show what a server's tables are, or make something that asks later. */
const showing = new Set(['SHOW', 'DESC', 'DESCRIBE', 'EXPLAIN', 'HELP', 'CREATE', 'ALTER', 'DROP'])

function isShown(core: Core, access: Asking['access'], name: string): boolean {
  return core.watch.view.keyspaces.get(name)?.role === 'primary' && (!access.restricted || access.maySee(name))
}

/** What can't be told otherwise (a form that the parser does not read, SET) would be answered by the server's names. Errors: SW-GATE-012 where they are others. */
export function requireAlike(core: Core, access: Asking['access'], session: string): void {
  const shard = core.watch.view.keyspaces.get(session)?.shards[0]
  if (!access.restricted && shard?.schema === databaseOf({ keyspace: session })) return
  throw gateErrors.notForwarded({
    construct: 'this form of a question to information_schema',
    reason: 'which names in it are keyspaces can not be told',
    fix: 'ask by a plain SELECT of its own',
  })
}

/**
 * A name that came as a parameter is of the keyspace that is shown, or of none. (DATABASE() is what it was at PREPARE, whatever the session uses since: by servers too, tried.) Errors: SW-GATE-012.
 */
export function requireShown(core: Core, access: Asking['access'], asked: Asked, given: readonly (string | null)[]): void {
  const other = asked.parameters
    .map((number) => given[number])
    .find((name) => name != null && name !== asked.shown && isShown(core, access, name))
  if (other === undefined) return
  throw gateErrors.notForwarded({
    construct: `a prepared question to information_schema about keyspace ${other}`,
    reason: asked.shown === null ? 'it was prepared without a keyspace' : `it was prepared for keyspace ${asked.shown}`,
    fix: `USE ${other} before it is prepared, or give the name in its text`,
  })
}

/**
 * A column that is read through a query is said to be from elsewhere than the table's own. MySQL names the table, but no schema. With MariaDB it depends on the column, so a server is asked what
 * it would say of the statement as the client gave it: to PREPARE it reads no row. Where it can't be prepared, the statement itself will tell why.
 */
async function originsOf(core: Core, runner: Runner, keyspace: string, sql: Buffer, signal: AbortSignal): Promise<DefinitionChange> {
  if (!core.isMariadb) return ofInformationSchema
  return await onServer(core, runner, keyspace, signal, async ({ connection }) => {
    try {
      const prepared = await connection.prepare(sql)
      prepared.close()
      return fromOrigins(prepared.columns)
    } catch (error) {
      if (error instanceof ServerError) return fromOrigins([])
      throw error
    }
  })
}

type Known = { readonly columns: ServerColumns; readonly untilMs: number }
const known = new WeakMap<Core, Map<string, Known>>()

async function serverColumns(core: Core, runner: Runner, keyspace: KeyspaceView, signal: AbortSignal): Promise<ServerColumns> {
  let byShard = known.get(core)
  if (byShard === undefined) known.set(core, (byShard = new Map()))
  const now = core.clock.monotonicMs()
  const kept = byShard.get(keyspace.shards[0]?.uid ?? '')
  if (kept !== undefined && kept.untilMs > now) return kept.columns
  return await onServer(core, runner, keyspace.name, signal, async ({ connection }, shard) => {
    const answer = await connection.query(columnsQuery)
    const columns = new Map<string, string[]>()
    for (const [table, column] of answer.kind === 'rows' ? answer.rows : []) {
      const name = String(table).toUpperCase()
      columns.set(name, [...(columns.get(name) ?? []), String(column)])
    }
    if (byShard.size >= columnsKeptMax) byShard.clear()
    byShard.set(shard.uid, { columns, untilMs: core.clock.monotonicMs() + columnsMaxAgeMs })
    return columns
  })
}

const columnsQuery =
  "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' ORDER BY TABLE_NAME, ORDINAL_POSITION"
