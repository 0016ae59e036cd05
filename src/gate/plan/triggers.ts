/**
 * Triggers of tables that stand on several shards. One runs where the row is: rows of other tables that it reads or writes are that shard's, a shard key or a lookup's column that it sets is another than the
 * row was routed and entered by, and what the session knows (its variables, its user) the shard's connection does not. Those are refused, the rest is the server's business. Pure.
 */
import { isLookup } from '../../keyspace/vschema-resolve.ts'
import type { ResolvedTable } from '../../keyspace/vschema-resolve.ts'
import type { StoredFunctions, TableColumns } from './catalog.ts'
import { planErrors } from './errors.ts'

export type TriggerEvent = 'INSERT' | 'UPDATE' | 'DELETE'

/** What a trigger's text does. */
export type TriggerEffect = {
  /** Columns of its row that it sets, in lower case. */
  readonly sets: readonly string[]
  /** What it does that may not be done on a shard; null: nothing. */
  readonly does: string | null
  /** What it calls, in lower case. */
  readonly calls: readonly string[]
}

export type Trigger = TriggerEffect & {
  readonly name: string
  readonly events: readonly string[]
  /** Each copy of a reference table may get another value of it. */
  readonly varies: boolean
}

type Token = { readonly text: string; readonly kind: 'word' | 'name' | 'variable' | 'text' | 'other' }

const token =
  /\s+|(?:--(?=\s|$)|#)[^\n]*|(?<comment>\/\*[\s\S]*?\*\/)|(?<text>'(?:[^'\\]|\\[\s\S]|'')*')|"(?<quoted>(?:[^"\\]|\\[\s\S]|"")*)"|`(?<name>(?:[^`]|``)*)`|(?<system>@@[\w$.`]+)|(?<variable>@(?:[\w$.\u0080-\uffff]+|'[^']*'|"[^"]*"|`[^`]*`))|(?<word>[\w$\u0080-\uffff]+)|(?<other>:=|[^\s'"`])/gy

/** Null: it can't be read. */
function tokensOf(text: string): Token[] | null {
  const tokens: Token[] = []
  token.lastIndex = 0
  while (token.lastIndex < text.length) {
    const groups = token.exec(text)?.groups
    if (groups === undefined) return null
    // Whether a server runs it depends on its version.
    if (groups['comment'] !== undefined && /^\/\*M?!/.test(groups['comment'])) return null
    // Under ANSI_QUOTES a name; text can not stand where one is looked for.
    const name = groups['name'] ?? groups['quoted']
    if (name !== undefined) tokens.push({ kind: 'name', text: name.toLowerCase() })
    for (const kind of ['word', 'variable', 'text', 'other'] as const) {
      const found = groups[kind]
      if (found !== undefined) tokens.push({ kind, text: found.toLowerCase() })
    }
  }
  return tokens
}

const statements = new Set(['insert', 'update', 'delete', 'replace', 'call', 'load', 'table', 'handler', 'truncate', 'execute'])
const ofSession = new Set(
  'user session_user system_user connection_id database schema last_insert_id row_count found_rows get_lock'.split(' '),
)
const ofSequences = new Set(['nextval', 'lastval', 'setval'])
const unreadable: TriggerEffect = { sets: [], does: 'can not be read', calls: [] }

/** @param plainBackslashes of the sql_mode that it was made under */
export function effectOf(body: string, plainBackslashes: boolean): TriggerEffect {
  // Where a text ends would be read otherwise.
  const tokens = plainBackslashes && body.includes('\\') ? null : tokensOf(body)
  return tokens === null ? unreadable : effectOfTokens(tokens)
}

function effectOfTokens(tokens: readonly Token[]): TriggerEffect {
  const at = (i: number): string => tokens[i]?.text ?? ''
  const named = new Set(tokens.flatMap(({ kind, text }) => (kind === 'word' ? [text] : [])))
  const sets: string[] = []
  const calls: string[] = []
  let does: string | null = null
  for (const [i, { kind, text }] of tokens.entries()) {
    if (kind === 'variable') does ??= `uses ${text}, which the session has and the connection of a shard has not`
    if ((kind !== 'word' && kind !== 'name') || at(i - 1) === '.') continue
    const called = at(i + 1) === '('
    if (called) calls.push(text)
    if (called && ofSession.has(text))
      does ??= `asks for ${text.toUpperCase()}(), which the session knows and the connection of a shard does not`
    if ((called && ofSequences.has(text)) || (text === 'next' && at(i + 1) === 'value')) does ??= 'draws from a sequence of its shard'
    if (kind === 'word' && isAboutRows(text, at(i + 1), named))
      does ??= `holds ${text.toUpperCase()}, which would concern the rows of its shard alone`
    const isSet = at(i + 3) === ':=' || (at(i + 3) === '=' && ['set', ','].includes(at(i - 1)))
    if (text === 'new' && at(i + 1) === '.' && isSet) sets.push(at(i + 2))
  }
  return { sets, does, calls }
}

function isAboutRows(word: string, next: string, named: ReadonlySet<string>): boolean {
  // A SELECT of no table is an expression. INSERT() and REPLACE() are functions; a handler of conditions is declared.
  if (word === 'select') return named.has('from')
  return statements.has(word) && next !== '(' && !(word === 'handler' && next === 'for')
}

/** Of CREATE TRIGGER: which table it is for. Null: it can't be read. */
export function createdTrigger(sql: string, plainBackslashes: boolean): { readonly table: string; readonly trigger: TriggerEffect } | null {
  const tokens = plainBackslashes && sql.includes('\\') ? null : tokensOf(sql)
  if (tokens === null) return null
  const word = (text: string, from: number): number => tokens.findIndex((one, i) => i >= from && one.kind === 'word' && one.text === text)
  const on = word('on', word('trigger', 0) + 1)
  const row = word('row', on)
  if (on < 0 || row < 0) return null
  const table = tokens[on + 2]?.text === '.' ? tokens[on + 3] : tokens[on + 1]
  return { table: table?.text ?? '', trigger: effectOfTokens(tokens.slice(row + 1)) }
}

/** Errors: SW-GATE-125. */
export function refuseTriggers(
  {
    name: table,
    entry,
    columns,
    keyspace,
  }: { name: string; entry: ResolvedTable | undefined; columns: TableColumns | null; keyspace: { functions: StoredFunctions | undefined } },
  events: readonly TriggerEvent[],
): void {
  for (const trigger of columns?.triggers ?? []) {
    if (!events.some((event) => trigger.events.includes(event))) continue
    requireHarmless(table, entry, trigger, keyspace.functions)
    if (entry?.kind !== 'reference') continue
    const call = trigger.calls.find((name) => keyspace.functions?.varying.has(name))
    if (trigger.varies || call !== undefined)
      refuse(table, trigger.name, 'makes a value that is another on each shard, and each has a copy of the row')
  }
}

/** Errors: SW-GATE-125. */
export function requireHarmless(
  table: string,
  entry: ResolvedTable | undefined,
  trigger: TriggerEffect & { readonly name: string },
  functions: StoredFunctions | undefined,
): void {
  if (trigger.does !== null) refuse(table, trigger.name, trigger.does)
  const call = trigger.calls.find((name) => functions?.reading.has(name))
  if (call !== undefined) refuse(table, trigger.name, `calls ${call}(), which may read tables`)
  const set = trigger.sets.find((column) => placesOf(entry).has(column))
  if (set !== undefined) refuse(table, trigger.name, `sets ${set}, by which the row is placed and found`)
}

/** The columns of the shard key, and of the lookups that are kept; in lower case. */
export function placesOf(entry: ResolvedTable | undefined): ReadonlySet<string> {
  if (entry?.kind !== 'sharded') return new Set()
  const lookups = entry.otherVindexes.filter(({ vindex, owned }) => owned && isLookup(vindex))
  return new Set([entry.primaryVindex, ...lookups].flatMap(({ columns }) => columns.map((name) => name.toLowerCase())))
}

function refuse(table: string, trigger: string, does: string): never {
  throw planErrors.trigger({ table, trigger, does })
}
